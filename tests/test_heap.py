"""What threads have let go is given back to the system."""

import threading

import pytest

from realtime_er.heap import EVERY_S, Heap
from tests.soak.watch import memory_parts


def test_it_gives_back_now_and_then() -> None:
    asked: list[int] = []

    def trim(pad: int) -> int:
        asked.append(pad)
        return 1

    heap = Heap(trim)
    for tenth in range(int(10 * (2 * EVERY_S + 5))):
        heap.look(tenth / 10)
    assert asked == [0, 0]


def test_pages_between_blocks_in_use_are_given_back() -> None:
    heap = Heap()
    if heap._trim is None or "held" not in memory_parts():
        pytest.skip("needs glibc's malloc_trim and mallinfo2")
    kept: list[bytes] = []

    def work() -> None:  # in a heap of its own: 30 MB, of which every tenth block stays in use
        blocks = [bytes([k % 256]) * 30_000 for k in range(1000)]
        kept.extend(blocks[::10])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    before = memory_parts()
    heap.look(EVERY_S)
    after = memory_parts()
    assert len(kept) == 100
    assert after["held"] == pytest.approx(before["held"], abs=1.0)
    assert after["anonymous"] < before["anonymous"] - 15.0
