"""What the doctor finds when something is wrong, each with its fix; and what a bug report leaves out."""

import importlib
import json
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from realtime_er.cli import app
from realtime_er.cli.doctor import devices, machine, packages, report, trouble
from realtime_er.cli.faults import fault_log, last_faults, note_fault
from realtime_er.cli.guard import guarded
from realtime_er.errors import ConfigError, WorkerFault
from realtime_er.sources.devices import CameraDevice, Listing, MicrophoneDevice


@pytest.fixture
def pretend(monkeypatch):
    """Pretends that these packages are installed, and no others."""

    def install(requires=(), **versions):
        known = {name.replace("_", "-").lower(): version for name, version in versions.items()}

        def version(name):
            try:
                return known[name.replace("_", "-").lower()]
            except KeyError:
                raise metadata.PackageNotFoundError(name) from None

        monkeypatch.setattr(metadata, "version", version)
        monkeypatch.setattr(metadata, "requires", lambda name: list(requires))

    return install


@pytest.mark.parametrize(
    ("versions", "said", "fix"),
    [
        ({"opencv_python": "4.10", "opencv_python_headless": "4.10"}, "mixture", "uninstall"),
        ({"opencv_python": "4.10", "pyside6_essentials": "6.8"}, "Qt libraries", "headless"),
        ({"opencv_python_headless": "5.0.0"}, "no Haar cascades", "<5"),
        ({"webrtcvad": "2.0.10"}, "pkg_resources", "webrtcvad-wheels"),
        ({"pyside6_essentials": "6.12.0", "pyqtgraph": "0.14.0"}, "abort", "<6.12"),
        ({"onnxruntime": "1.20", "onnxruntime_gpu": "1.20"}, "came last", "uninstall"),
    ],
)
def test_known_trouble_says_why_and_what_to_do(pretend, versions, said, fix):
    pretend(**versions)
    (finding,) = trouble.known()
    assert finding.state == "note"
    assert said in finding.detail
    assert fix in finding.fix


@pytest.mark.parametrize(
    "versions",
    [
        {"opencv_python": "4.10"},
        {"opencv_python_headless": "4.14.0.94", "pyside6_essentials": "6.11.3"},
        {"pyside6_essentials": "6.12.0"},
        {"webrtcvad": "2.0.14"},
        {},
    ],
)
def test_what_is_no_trouble_is_none(pretend, versions):
    pretend(**versions)
    (finding,) = trouble.known()
    assert finding.state == "ok"


def test_torchvision_of_another_torch(pretend):
    pretend(["numpy", "torch==2.9.1"], torch="2.15.0", torchvision="0.24.1")
    (finding,) = trouble.known()
    assert "0.24.1 was built for torch==2.9.1, 2.15.0 is installed" in finding.detail
    pretend(["torch==2.9.1"], torch="2.9.1+cpu", torchvision="0.24.1")
    assert [finding.state for finding in trouble.known()] == ["ok"]


def test_versions_that_it_was_not_made_for(pretend):
    declared = ["av>=15", "PySide6-Essentials<6.12,>=6.8; extra == 'window'", "pandas>=2.2"]
    pretend(declared, realtime_er="0.1.0", av="14.2", pyside6_essentials="6.12.1")
    findings = list(packages.requirements())
    assert [(finding.what, finding.state) for finding in findings] == [
        ("av", "note"),
        ("PySide6-Essentials", "note"),
    ]
    assert findings[0].fix == "python -m pip install 'av>=15'"
    pretend(declared, realtime_er="0.1.0", av="15.0")
    assert [finding.state for finding in packages.requirements()] == ["ok"]


def test_a_package_that_cannot_be_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "soxr", None)
    broken = [finding for finding in packages.imports() if finding.state == "broken"]
    assert [finding.what for finding in broken] == ["soxr"]
    assert "reinstall" in broken[0].fix


@pytest.mark.skipif(sys.platform != "linux", reason="groups of devices are Linux's")
def test_devices_that_this_user_may_not_open(monkeypatch):
    listing = Listing((CameraDevice(0, "Integrated Camera"),))
    monkeypatch.setattr("realtime_er.sources.devices.list_cameras", lambda: listing)
    monkeypatch.setattr(devices.os, "access", lambda path, mode: False)
    found, access = devices.cameras()
    assert (found.state, found.detail) == ("ok", "0: Integrated Camera")
    assert access.detail == "no permission for /dev/video0"
    assert access.fix.startswith("sudo usermod -aG video")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who has a device")
def test_a_camera_that_another_program_has(monkeypatch):
    listing = Listing((CameraDevice(0, "Integrated Camera"), CameraDevice(2, "HD Webcam")))
    monkeypatch.setattr("realtime_er.sources.devices.list_cameras", lambda: listing)
    monkeypatch.setattr(devices.os, "access", lambda path, mode: True)
    holders = {Path("/dev/video2"): "zoom"}
    monkeypatch.setattr("realtime_er.sources.camera_access.holder", holders.get)
    _, used = devices.cameras()
    assert (used.state, used.detail) == ("note", "zoom has /dev/video2")


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_without_devices_the_systems_privacy_settings_are_named(monkeypatch, system):
    nothing = Listing((), "no camera is connected")
    monkeypatch.setattr("realtime_er.sources.devices.list_cameras", lambda: nothing)
    monkeypatch.setattr(devices.sys, "platform", system)
    (finding,) = devices.cameras()
    assert finding.state == "note"
    assert "Privacy" in finding.fix
    assert "> Camera: allow" in finding.fix


@pytest.mark.parametrize(
    ("answers", "state", "said"),
    [
        ({"info": "Server Name: PipeWire\n", "get-source-mute": "Mute: no"}, "ok", "PipeWire"),
        ({"info": "Server Name: x\n", "get-source-mute": "Mute: yes"}, "note", "is muted"),
        ({"info": ""}, "note", "does not answer"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="PulseAudio is Linux's")
def test_the_sound_server(monkeypatch, answers, state, said):
    microphones = Listing((MicrophoneDevice(3, "Yeti", 48000.0, 2),))
    library = SimpleNamespace(get_portaudio_version=lambda: (0, "PortAudio V19.7"))
    monkeypatch.setattr("realtime_er.sources.devices.load_portaudio", lambda: library)
    monkeypatch.setattr("realtime_er.sources.devices.list_microphones", lambda _: microphones)
    monkeypatch.setattr(devices, "output_of", lambda *command: answers[command[1]])
    findings = {finding.what: finding for finding in devices.sound()}
    assert findings["microphones"].detail == "3: Yeti"
    server = findings["sound server"]
    assert server.state == state
    assert said in server.detail
    assert bool(server.fix) == (state == "note")


def test_little_memory_and_little_room_are_said(monkeypatch, tmp_path):
    table = tmp_path / "meminfo"
    table.write_text("MemTotal: 8000000 kB\nMemAvailable:  500000 kB\n")
    monkeypatch.setattr(machine, "Path", lambda name: table)
    memory = {finding.what: finding for finding in machine.system()}["memory"]
    assert (memory.state, memory.detail) == ("note", "only 0.5 GB are free")
    monkeypatch.undo()
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: SimpleNamespace(free=3e9))
    disk = {finding.what: finding for finding in machine.folders()}["disk"]
    assert disk.state == "note"
    assert "3.0 GB free where recordings go, about 2 h" in disk.detail
    assert "--no-media" in disk.fix


def test_a_clock_that_is_behind_or_free_running(monkeypatch):
    class Wrong(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2001, 1, 1, tzinfo=tz)

    monkeypatch.setattr(machine, "datetime", Wrong)
    (finding,) = machine.clock()
    assert "it is 2001-01-01 here" in finding.detail
    monkeypatch.undo()
    monkeypatch.setattr(machine.sys, "platform", "linux")
    monkeypatch.setattr(machine, "output_of", lambda *_: "NTPSynchronized=no\n")
    (finding,) = machine.clock()
    assert finding.detail.endswith("not synchronised")
    assert "set-ntp true" in finding.fix


def test_a_graphics_card_that_torch_does_not_see(monkeypatch):
    table = "name, memory.total [MiB], driver_version\nNVIDIA X, 24564 MiB, 550\n"
    monkeypatch.setattr(machine, "output_of", lambda *_: table)
    monkeypatch.setitem(sys.modules, "torch", None)
    (finding,) = machine.graphics()
    assert (finding.state, finding.detail) == (
        "note",
        "NVIDIA X, 24564 MiB, 550; torch does not see it",
    )


def test_a_program_that_is_not_there_or_fails():
    assert machine.output_of("no-such-program-here") is None
    assert machine.output_of(sys.executable, "-c", "raise SystemExit(3)") == ""
    assert machine.output_of(sys.executable, "-c", "print('yes')").strip() == "yes"


# --- the bug report ---------------------------------------------------------------------------


@pytest.fixture
def anna(monkeypatch):
    """Who uses this computer."""
    monkeypatch.setattr(report.Path, "home", lambda: report.Path("/home/anna.berg"))
    monkeypatch.setattr(report.getpass, "getuser", lambda: "anna.berg")
    monkeypatch.setattr(report.platform, "node", lambda: "annas-laptop")


def test_a_report_has_what_is_needed_and_nothing_that_tells_who(anna, monkeypatch, tmp_path):
    secret = "lovely weather said Zebedee"
    try:
        report.Path("/home/anna.berg/recordings/none.mkv").stat()
    except OSError as error:
        lost = error
    try:
        raise ValueError(f"cannot read {secret!r} at 7")
    except ValueError as cause:
        fault = WorkerFault("the text thread failed")
        fault.__cause__ = cause
    note_fault(lost)
    note_fault(fault)
    module = importlib.import_module("realtime_er.cli.doctor")
    found = module.Finding("microphones", "ok", "1: Anna.Berg's Yeti, 2: /home/anna.berg/x", "")
    monkeypatch.setattr(module, "examine", lambda config: [found])
    monkeypatch.setenv("REALTIME_ER_DATA", "/mnt/patients")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path = tmp_path / "report.json"
    url = "camera.source=http://anna:hunter2@10.0.0.7/video?key=xyzzy"
    arguments = ["doctor", "--set", url, "--bundle-report", str(path)]
    result = CliRunner().invoke(app, [*arguments, "--set", "models.directory=/home/anna.berg/m"])
    assert result.exit_code == 0, result.output
    assert "read it before you send it" in result.stdout
    text = path.read_text("utf-8")
    for word in (*secret.split(), "hunter2", "xyzzy", "patients"):
        assert word not in text, word
    assert "anna" not in text.lower()
    record = json.loads(text)
    assert record["config"]["camera"]["source"].startswith("http://10.0.0.7/video")
    assert record["config"]["models"]["directory"] == "~/m"
    assert record["packages"]["numpy"]
    assert record["environment"]["OMP_NUM_THREADS"] == "1"
    assert record["findings"][0]["detail"].endswith("Yeti, 2: ~/x")
    first, second = record["faults"]
    assert "FileNotFoundError: [Errno 2] No such file or directory: '...'" in first
    assert "ValueError: cannot read '...' at 7" in second
    assert "the text thread failed" in second
    assert "test_doctor.py" in second


def test_a_report_that_cannot_be_written_is_one_line(monkeypatch, tmp_path):
    module = importlib.import_module("realtime_er.cli.doctor")
    monkeypatch.setattr(module, "examine", lambda config: [])
    path = str(tmp_path / "none" / "report.json")
    result = CliRunner().invoke(app, ["doctor", "--bundle-report", path])
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_a_user_of_two_letters_does_not_spoil_the_report(monkeypatch):
    monkeypatch.setattr(report.Path, "home", lambda: report.Path("/"))
    monkeypatch.setattr(report.getpass, "getuser", lambda: "me")
    monkeypatch.setattr(report.platform, "node", lambda: "")
    assert report.redactor()("tell me: /usr/lib/me") == "tell me: /usr/lib/me"


# --- the log of faults ------------------------------------------------------------------------


def test_a_fault_is_one_line_for_the_user_and_a_traceback_in_the_log(capsys):
    def dead():
        raise WorkerFault("the face thread failed: out of memory") from MemoryError("out of memory")

    with pytest.raises(Exception, match=r".*"):
        guarded(dead)()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(fault_log()) in said
    (entry,) = last_faults(3)
    assert "in dead" in entry
    assert "MemoryError: out of memory" in entry


def test_expected_errors_leave_no_traceback(capsys):
    def wrong():
        raise ConfigError("--set x: write it as KEY=VALUE")

    with pytest.raises(Exception, match=r".*"):
        guarded(wrong)()
    assert capsys.readouterr().err == "error: --set x: write it as KEY=VALUE\n"
    assert last_faults(3) == []


def test_the_log_of_faults_does_not_grow_for_ever(monkeypatch):
    fault_log().parent.mkdir(parents=True)
    fault_log().write_text("== old\n" + "x" * 1_000_001)
    note_fault(ValueError("new"))
    (entry,) = last_faults(3)
    assert "ValueError: new" in entry
    for number in range(5):
        note_fault(ValueError(f"number {number}"))
    assert ["number 3" in last_faults(2)[0], "number 4" in last_faults(2)[1]] == [True, True]
    assert datetime.fromisoformat(last_faults(1)[0].split()[0]) <= datetime.now(UTC)


def test_a_log_that_cannot_be_written_is_said():
    fault_log().parent.parent.mkdir(parents=True, exist_ok=True)
    fault_log().parent.write_text("a file where the folder should be")
    assert "cannot be kept" in note_fault(ValueError("new"))
    assert last_faults(1) == []
