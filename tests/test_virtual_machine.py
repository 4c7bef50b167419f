"""The simulated computer itself: everybody gets as many turns as they have reasons for."""

from realtime_er import runtime
from tests.virtual_machine import VirtualMachine


def test_a_thread_whose_time_is_over_as_it_is_woken_gets_one_turn(monkeypatch):
    machine = VirtualMachine()
    machine.install(monkeypatch)
    box = runtime.Mailbox("writer>reader", 4, "block")
    seen = []

    def write():
        machine.wait_until(1.0)
        box.put("message")

    def read():
        seen.append((box.get(1.0), machine.now_s()))
        machine.compute(1.0)  # a second turn would end it at once
        seen.append(("computed", machine.now_s()))

    workers = [runtime.Worker(f.__name__, f, lambda _fault: None) for f in (write, read)]
    for worker in workers:
        worker.start()
    assert all(worker.join(10.0) for worker in workers)
    assert seen == [("message", 1.0), ("computed", 2.0)]


def test_work_ends_late_in_a_long_day_as_well(monkeypatch):
    machine = VirtualMachine()
    machine.install(monkeypatch)
    machine.wait_until(8 * 3600.1)
    for _ in range(1000):
        machine.compute(0.0123)
    assert abs(machine.now_s() - 8 * 3600.1 - 12.3) < 1e-6
