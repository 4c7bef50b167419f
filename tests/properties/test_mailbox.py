"""Every edge accounts for every unit, keeps the order, and never holds more than it may."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime_er.runtime import Mailbox, MailboxClosed, Policy
from tests.properties.bounded import bounded

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 9)),
        st.tuples(st.just("get"), st.just(0)),
        st.tuples(st.sampled_from(["close", "discard"]), st.just(0)),
    ),
    max_size=60,
)


@bounded(100)
@given(
    policy=st.sampled_from(["block", "drop_oldest", "latest"]),
    capacity=st.integers(1, 5),
    steps=steps,
)
def test_any_sequence_of_calls(policy: Policy, capacity: int, steps: list[tuple[str, int]]) -> None:
    box: Mailbox[tuple[int, int]] = Mailbox(
        "a>b", capacity, policy, unit="samples", size=lambda item: item[1]
    )
    most = 1 if policy == "latest" else capacity
    waiting: list[tuple[int, int]] = []
    taken: list[tuple[int, int]] = []
    closed = False
    for number, (what, size) in enumerate(steps):
        if what == "put" and policy == "block" and len(waiting) >= most and not closed:
            continue  # it would wait, and there is nobody to make room
        try:
            if what == "put":
                box.put((number, size))
                waiting = [*waiting, (number, size)][-most:]
            elif what == "get":
                item = box.get(0.0)
                assert item == (waiting.pop(0) if waiting else None)
                taken += [item] if item is not None else []
            elif what == "close":
                box.close()
                closed = True
            else:
                box.discard()
                waiting, closed = [], True
        except MailboxClosed:
            assert closed
            assert what == "put" or not waiting
        counts = box.counts()
        assert counts.balanced
        assert counts.in_flight == sum(size for _, size in waiting)
        assert counts.taken == sum(size for _, size in taken)
        assert counts.high_water <= most
    assert taken == sorted(taken)


@bounded(100)
@given(kinds=st.lists(st.booleans(), max_size=20), capacity=st.integers(1, 4))
def test_what_may_not_be_dropped_is_not(kinds: list[bool], capacity: int) -> None:
    """Final transcripts among partial ones: a newer item replaces the partials that wait."""
    box: Mailbox[tuple[int, bool]] = Mailbox(
        "speech>asr",
        capacity,
        "drop_oldest",
        supersedes=lambda _new, old: not old[1],
        droppable=lambda item: not item[1],
    )
    taken, finals = [], []
    for item in enumerate(kinds):
        if sum(final for _, final in finals) - sum(final for _, final in taken) >= capacity:
            taken.append(box.get(0.0))
        box.put(item)
        finals += [item] if item[1] else []
    box.close()
    while box.counts().in_flight:
        taken.append(box.get())
    assert [item for item in taken if item and item[1]] == finals
    assert box.counts().balanced
    assert box.counts().in_flight == 0
