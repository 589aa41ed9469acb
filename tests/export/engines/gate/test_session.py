"""Pictures are restored in a process of their own; the CPU stands in for an engine."""

from __future__ import annotations

import numpy as np
import pytest

from spair.export.engines.gate import session
from spair.export.engines.gate.pictures import make_samples
from spair.export.engines.gate.session import run_in_child
from spair.runtime.children import make_python_command
from spair.runtime.errors import GateError
from spair.runtime.restorer import Restorer
from tests.patience import PATIENCE

CPU = {"backend": "onnxruntime", "precision": "fp32"}


def test_samples_are_restored_as_in_this_process(tiny_bundle):
    samples = make_samples((64, 48))
    told: list[str] = []
    answers = run_in_child(tiny_bundle, CPU, "tensorrt", samples, progress=told.append)
    with Restorer.open(tiny_bundle, backend="onnxruntime") as restorer:
        for sample, (restored, mask) in zip(samples, answers, strict=True):
            expected = restorer(sample.picture, mask=sample.mask)
            np.testing.assert_array_equal(restored, expected.image)
            np.testing.assert_array_equal(mask, expected.mask)
    assert told == [f"running the engine on the picture {sample.name}" for sample in samples]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {**CPU, "precision": "fp64"},
            "does not run: the bundle .* has no fp64 graphs .*; the bundle was left",
        ),
        ({**CPU, "backend": "nothing"}, "does not run: .*nothing"),
    ],
)
def test_what_the_runtime_refuses_fails_the_gate(tiny_bundle, options, words):
    with pytest.raises(GateError, match=words):
        run_in_child(tiny_bundle, options, "tensorrt", make_samples((16, 16)))


REFUSE = """
from spair.export.engines.gate.script import main
from spair.runtime.engine.errors import EngineError
from spair.runtime.restorer import Restorer


class Refusing:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def __call__(self, picture, mask=None):
        raise {error}


Restorer.open = lambda bundle, **options: Refusing()
main()
"""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("EngineError('model.engine does not run: no such tactic')", "model.engine does not run: no such tactic"),
        ("MemoryError('the GPU has too little memory')", "the GPU has too little memory"),
        ("MemoryError()", "there is not enough memory"),
    ],
)
def test_what_tensorrt_or_the_gpu_refuses_is_told_in_its_words(tiny_bundle, monkeypatch, error, words):
    code = REFUSE.format(error=error)
    monkeypatch.setattr(session, "make_module_command", lambda module, folder: make_python_command(code, folder))
    with pytest.raises(GateError, match=f"^the engine was built and does not run: {words}; the bundle was left as it"):
        run_in_child(tiny_bundle, CPU, "tensorrt", make_samples((16, 16)))


@pytest.mark.parametrize(
    ("code", "timeout", "words"),
    [
        ("import os; os.kill(os.getpid(), 11)", PATIENCE, "does not run: its process was ended by SIGSEGV"),
        ("raise RuntimeError('no address')", PATIENCE, r"its process ended with code 1 \(.*RuntimeError: no address\)"),
        ("import time; time.sleep(600)", 1, "its process was stopped after 1 seconds"),
    ],
)
def test_a_process_that_dies_or_hangs_fails_the_gate(tiny_bundle, monkeypatch, code, timeout, words):
    monkeypatch.setattr(session, "make_module_command", lambda module, folder: make_python_command(code, folder))
    with pytest.raises(GateError, match=words):
        run_in_child(tiny_bundle, CPU, "tensorrt", make_samples((16, 16)), timeout=timeout)
