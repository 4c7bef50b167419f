"""What threads have let go is given back to the system."""

import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from realtime_er.heap import EVERY_S, Heap
from tests.soak.watch import memory_parts


def test_it_gives_back_now_and_then() -> None:
    asked: list[int] = []
    heap = Heap(SimpleNamespace(malloc_trim=asked.append))
    for tenth in range(int(10 * (2 * EVERY_S + 5))):
        heap.look(tenth / 10)
    assert asked == [0, 0]


def test_another_c_library_is_left_alone() -> None:
    heap = Heap(SimpleNamespace())  # without mallopt, too
    heap.settle()
    heap.look(2 * EVERY_S)


@pytest.fixture
def glibc() -> Heap:
    heap = Heap()
    if heap._trim is None or "held" not in memory_parts():
        pytest.skip("needs glibc's malloc_trim and mallinfo2")
    return heap


def test_pages_between_blocks_in_use_are_given_back(glibc: Heap) -> None:
    kept: list[bytes] = []

    def work() -> None:  # 30 MB, of which every tenth block stays in use
        blocks = [bytes([k % 256]) * 30_000 for k in range(1000)]
        kept.extend(blocks[::10])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    before = memory_parts()
    glibc.look(EVERY_S)
    after = memory_parts()
    assert len(kept) == 100
    assert after["held"] == pytest.approx(before["held"], abs=1.0)
    assert after["anonymous"] < before["anonymous"] - 15.0


@pytest.mark.usefixtures("glibc")
def test_large_blocks_are_the_systems_also_after_some_were_freed() -> None:
    """By itself glibc takes the first large block that is freed for a sign to keep the next ones."""
    program = """
from realtime_er.heap import Heap
from tests.soak.watch import memory_parts
if {settle}:
    Heap().settle()
for _ in range(3):
    block = bytearray(6 * 2**20)
    mapped = memory_parts()["mapped"]
    del block
print(mapped)
"""
    mapped_mb = [
        float(
            subprocess.run(
                [sys.executable, "-c", program.format(settle=settle)],
                capture_output=True, check=True, text=True,
            ).stdout
        )
        for settle in (False, True)
    ]  # fmt: skip
    assert mapped_mb[0] < 6 <= mapped_mb[1]
