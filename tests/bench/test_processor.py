"""Clocks of threads: parts that sum to the whole."""

import threading

from realtime_er.bench.machine import describe_machine, rss_mb
from realtime_er.bench.processor import LIBRARIES, MAIN, read_clocks, spent


def burn(n):
    return sum(index * index for index in range(n))


def test_parts_sum_to_the_process():
    begin, finish = threading.Event(), threading.Event()
    done = threading.Event()

    def work():
        begin.wait(10)
        burn(300_000)
        done.set()
        finish.wait(10)

    named = threading.Thread(target=work, name="rter:worker")
    named.start()
    try:
        first = read_clocks()
        begin.set()
        assert done.wait(10)
        burn(100_000)
        last = read_clocks()
    finally:
        finish.set()
        named.join()
    parts = spent(first, last)
    assert set(parts) >= {"worker", MAIN, LIBRARIES}
    assert parts["worker"] > parts[LIBRARIES]
    assert abs(sum(parts.values()) - (last.process_s - first.process_s)) < 1e-3


def test_a_thread_that_ended_counts_among_the_libraries():
    first = read_clocks()
    thread = threading.Thread(target=burn, args=(100_000,), name="rter:short")
    thread.start()
    thread.join()
    assert "short" not in spent(first, read_clocks())


def test_the_machine_is_described_but_not_named():
    import json
    import platform

    machine = describe_machine()
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert machine["memory_gb"] > 0
    assert {"numpy", "onnxruntime"} <= set(machine["packages"])
    host = platform.node()
    assert not host or f'"{host}' not in json.dumps(machine)
    assert rss_mb() > 1
