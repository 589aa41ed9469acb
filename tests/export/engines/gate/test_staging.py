"""The gate over a target's engines, with the CPU in the place of the GPU."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from spair.export.engines.gate import staging
from spair.export.engines.gate.staging import gate_target
from spair.runtime import Bundle
from spair.runtime.bundle.writer import extend_bundle
from spair.runtime.errors import GateError

ENTRY = {"library": "plugins/local/lib.so", "engines": {"fp32": {"engine": "engines/local/fp32.engine"}}}
FILES = {"plugins/local/lib.so": b"code", "engines/local/fp32.engine": b"plan"}


@pytest.fixture
def built(tiny_bundle, tmp_path) -> Bundle:
    """A bundle with another target, and an old engine of this one."""
    opened = Bundle.open(shutil.copytree(tiny_bundle, tmp_path / "copy.spair"))
    files = {"engines/l4/fp32.engine": b"other", "engines/local/fp32.engine": b"old"}
    return extend_bundle(opened, {"targets": {"l4": {}, "local": {}}}, files)


def run_gate(bundle: Bundle, **more: object):
    return gate_target(bundle, "local", ENTRY, FILES, package="tensorrt", largest=(64, 48), **more)


def snapshot(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip


def test_engines_run_from_a_copy_with_this_target_alone(built, monkeypatch):
    seen = {}
    run = staging.run_in_child

    def look(bundle, options, package, samples, **more):
        opened = Bundle.open(bundle)
        seen.update(
            targets=opened.manifest.targets,
            plan=opened.file("engines/local/fp32.engine").read_bytes(),
            foreign=[name for name in opened.manifest.files if name.startswith("engines/l4")],
            options=options,
        )
        return run(bundle, {"backend": "onnxruntime", "precision": "fp32"}, package, samples, **more)

    monkeypatch.setattr(staging, "run_in_child", look)
    before = snapshot(built.path)
    (report,) = run_gate(built)
    assert (report.precision, report.psnr) == ("fp32", 100.0)
    assert seen == {
        "targets": {"local": ENTRY},
        "plan": b"plan",
        "foreign": [],
        "options": {"backend": "tensorrt", "trust_code": True, "precision": "fp32"},
    }
    assert json.dumps(report.to_json(), allow_nan=False)
    assert snapshot(built.path) == before


def test_an_engine_that_restores_otherwise_leaves_the_bundle(built, monkeypatch):
    def spoil(bundle, options, package, samples, **more):
        return [(np.roll(sample.picture, 1, axis=0), np.ones(sample.picture.shape[:2], bool)) for sample in samples]

    monkeypatch.setattr(staging, "run_in_child", spoil)
    before = snapshot(built.path)
    with pytest.raises(GateError, match="the fp32 engine does not restore the picture .* as ONNX Runtime does"):
        run_gate(built)
    assert snapshot(built.path) == before
