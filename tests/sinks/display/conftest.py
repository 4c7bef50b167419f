"""One offscreen Qt application for all tests of the window."""

import gc
import os

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="session")
def qapp():
    widgets = pytest.importorskip(
        "PySide6.QtWidgets", reason="needs the `window` extra: pip install 'realtime_er[window]'"
    )
    pytest.importorskip("pyqtgraph", reason="needs the `window` extra")
    app = widgets.QApplication.instance() or widgets.QApplication(["test"])
    yield app
    gc.collect()


@pytest.fixture(autouse=True)
def _with_qt(qapp):
    """Every test here needs Qt; widgets that a test dropped are gone before the next one."""
    yield
    qapp.processEvents()
