import threading

import pytest

from realtime_er.runtime import Mailbox, MailboxClosed, Worker


def test_latest_keeps_the_newest_and_counts_the_rest():
    box: Mailbox[int] = Mailbox("a>b", 5, "latest")
    for item in range(4):
        box.put(item)
    counts = box.counts()
    assert (counts.offered, counts.dropped, counts.in_flight) == (4, 3, 1)
    assert box.get() == 3
    assert box.counts().balanced


def test_drop_oldest_counts_in_units():
    box: Mailbox[list[int]] = Mailbox("a>b", 2, "drop_oldest", size=len, unit="samples")
    for n in (3, 4, 5):
        box.put([0] * n)
    assert box.counts().dropped == 3
    assert box.counts().in_flight == 9
    assert len(box.get() or []) == 4


def test_get_times_out_with_none_and_drains_after_close():
    box: Mailbox[int] = Mailbox("a>b", 2, "block")
    assert box.get(0.0) is None
    box.put(1)
    box.close()
    with pytest.raises(MailboxClosed):
        box.put(2)
    assert box.get() == 1
    with pytest.raises(MailboxClosed):
        box.get()


def waiting_for(box: Mailbox[int], least: int, timeout_s: float | None = None):
    """A thread that waits for something worth it: what it was shown meanwhile, and what it got."""
    shown: list[int] = []
    got: list[int | None] = []

    def worth_waking(item: int) -> bool:
        shown.append(item)
        return item >= least

    thread = threading.Thread(target=lambda: got.append(box.get(timeout_s, worth_waking)))
    thread.start()
    while box._worth_waking is None and thread.is_alive():
        pass  # from here on it waits
    return thread, shown, got


def test_what_is_not_worth_waking_for_waits_for_what_is():
    box: Mailbox[int] = Mailbox("a>b", 20, "block")
    thread, shown, got = waiting_for(box, 3)
    for item in (1, 2, 3, 4):
        box.put(item)
    thread.join(5)
    assert got == [1]  # the oldest comes first, as ever
    assert shown[:3] == [1, 2, 3]  # still asleep at each of them
    assert [box.get() for _ in range(3)] == [2, 3, 4]


@pytest.mark.parametrize("end", ["half full", "time is up", "closed"])
def test_nothing_waits_for_good(end):
    box: Mailbox[int] = Mailbox("a>b", 4, "block")
    thread, _shown, got = waiting_for(box, 99, 0.3 if end == "time is up" else None)
    box.put(1)
    if end == "half full":
        box.put(2)
    elif end == "closed":
        box.close()
    thread.join(5)
    assert got == [1]


def test_closing_releases_a_blocked_put_and_counts_it():
    box: Mailbox[int] = Mailbox("a>b", 1, "block")
    box.put(1)
    raised = threading.Event()

    def put() -> None:
        try:
            box.put(2)
        except MailboxClosed:
            raised.set()

    thread = threading.Thread(target=put)
    thread.start()
    while box.counts().offered < 2:
        pass  # the offer is counted before it waits
    box.discard()
    thread.join(5)
    assert raised.is_set()
    counts = box.counts()
    assert counts.balanced
    assert (counts.offered, counts.dropped, counts.in_flight) == (2, 2, 0)


def test_superseded_items_are_replaced_and_finals_never_dropped():
    box: Mailbox[tuple[str, bool]] = Mailbox(
        "speech>asr",
        2,
        "drop_oldest",
        supersedes=lambda new, old: not old[1],
        droppable=lambda item: not item[1],
    )
    box.put(("p1", False))
    box.put(("p2", False))
    box.put(("f", True))
    counts = box.counts()
    assert (counts.superseded, counts.dropped, counts.in_flight) == (2, 0, 1)
    assert box.get() == ("f", True)
    assert box.counts().balanced


def test_worker_keeps_its_fault_and_tells_the_owner():
    seen: list[BaseException | None] = []

    def run() -> None:
        raise ValueError("broken")

    worker = Worker("x", run, seen.append)
    worker.start()
    assert worker.join(5)
    assert isinstance(worker.fault, ValueError)
    assert seen == [worker.fault]
    assert not worker.alive


def test_worker_ends_quietly_when_its_mailbox_closes():
    box: Mailbox[int] = Mailbox("a>b", 1, "block")
    seen: list[BaseException | None] = []
    worker = Worker("x", lambda: [box.get() for _ in range(9)] and None, seen.append)
    worker.start()
    box.close()
    assert worker.join(5)
    assert seen == [None]


def test_capacity_must_be_positive():
    with pytest.raises(ValueError, match="capacity"):
        Mailbox("a>b", 0, "block")
