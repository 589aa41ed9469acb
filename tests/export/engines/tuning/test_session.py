"""The process that times an engine gets what it needs, and its reasons reach the user."""

from __future__ import annotations

import pytest

from spair.export.engines.tuning import session
from spair.export.engines.tuning.scenes import DENSITIES
from spair.export.engines.tuning.session import Subject, time_in_child
from spair.runtime.children import make_python_command
from spair.runtime.errors import GateError

SUBJECT = Subject(b"plan", b"library", "tensorrt", {"image": (1, 3, 16, 24), "mask": (1, 1, 16, 24)})
TELL = """
import json, os, sys
from pathlib import Path
import numpy as np

folder, pipe = Path(sys.argv[1]), int(sys.argv[2])
job = json.loads((folder / "job.json").read_text())
with np.load(folder / "masks.npz") as stored:
    shares = [float(stored[name].mean()) for name in stored]
for number in range(len(shares)):
    os.write(pipe, f"{number}\\n".encode())
found = {
    "engine": (folder / "engine").read_bytes() == b"plan",
    "library": Path(job["library"]).read_bytes() == b"library",
    "inputs": job["inputs"] == {"image": [1, 3, 16, 24], "mask": [1, 1, 16, 24]},
    "job": (job["package"], job["mask"]) == ("tensorrt", "mask"),
}
(folder / "times.json").write_text(json.dumps([{**found, "share": share} for share in shares]))
"""


def replace_script(monkeypatch, code: str) -> None:
    """Run other code in place of the script."""
    monkeypatch.setattr(session, "make_module_command", lambda module, folder: make_python_command(code, folder))


def test_the_process_gets_engine_library_shapes_and_masks(monkeypatch):
    replace_script(monkeypatch, TELL)
    told: list[str] = []
    times = time_in_child(SUBJECT, progress=told.append)
    assert all(all(found.values()) for found in times)
    assert [found["share"] for found in times] == pytest.approx(DENSITIES, abs=0.5 / (16 * 24))
    assert told[0] == "timing layers where 2% of the pixels are distorted" and len(told) == len(DENSITIES)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys, pathlib; pathlib.Path(sys.argv[1], 'error').write_text('no such tactic')", "no such tactic"),
        ("import os; os.abort()", "its process was ended by SIGABRT"),
    ],
)
def test_why_layers_cannot_be_timed_is_one_sentence(monkeypatch, code, words):
    replace_script(monkeypatch, code)
    with pytest.raises(
        GateError, match=f"cannot be timed: {words}.*; the bundle was left as it was, and without --tune"
    ):
        time_in_child(SUBJECT)


def test_the_script_without_a_gpu_says_why():
    with pytest.raises(GateError, match="cannot be timed: "):
        time_in_child(SUBJECT)
