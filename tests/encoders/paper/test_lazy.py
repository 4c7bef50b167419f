"""What works without torch must not import it."""

import subprocess
import sys

LIGHT = (
    "realtime_er.models",
    "realtime_er.fusion.aggregation",
    "realtime_er.encoders.paper.faces",
    "realtime_er.encoders.paper.hub",
    "realtime_er.encoders.paper.own_labels",
    "realtime_er.training.corpora.readers",
    "realtime_er.training.corpora.label_schemes",
    "realtime_er.training.metrics_multilabel",
)


def test_numpy_is_enough_for_the_light_parts():
    code = (
        f"import sys, importlib\n[importlib.import_module(name) for name in {LIGHT!r}]\n"
        "print([name for name in ('torch', 'transformers', 'safetensors') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
