from realtime_er.accounting import Accounting, EdgeAccount, StreamTally
from realtime_er.runtime import EdgeCounts


def edge(captured=10, processed=10, *, offered=10, taken=10, dropped=0, skipped=0, tail=0):
    counts = EdgeCounts("a>b", "frames", "drop_oldest", offered, taken, dropped, 0, 0, 3)
    return EdgeAccount(counts, captured, processed, skipped, tail)


def test_a_unit_that_went_nowhere_is_found():
    assert edge().unaccounted == 0
    lost = edge(processed=9)
    assert lost.unaccounted == 1
    assert "1 unaccounted" in lost.line()
    assert not Accounting((), (lost,)).balanced
    assert Accounting((), (edge(),)).balanced


def test_what_was_never_offered_is_found():
    account = edge(captured=11)
    assert account.unaccounted == 1


def test_a_jump_of_the_index_must_be_in_gaps():
    whole = StreamTally("microphone", "samples", captured=90, in_gaps=10, end_index=100)
    assert Accounting((whole,)).balanced
    assert Accounting((whole,)).lines() == ["microphone: 10 samples in gaps"]
    assert not Accounting((StreamTally("camera", "frames", 90, 0, 100),)).balanced
    assert not Accounting((StreamTally("camera", "frames", 101, -1, 100),)).balanced


def test_the_record_has_every_edge():
    record = Accounting(
        (StreamTally("camera", "frames", 10, 0, 10),), (edge(skipped=0),)
    ).to_record()
    assert record["balanced"] is True
    assert record["edges"]["a>b"]["captured"] == 10
