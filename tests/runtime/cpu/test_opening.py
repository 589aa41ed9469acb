"""Refusals of the backend cpu are one sentence each."""

import json
import shutil
import sys

import numpy as np
import pytest

from spair.runtime import Restorer
from spair.runtime.bundle.reader import Bundle
from spair.runtime.cpu import opening
from spair.runtime.cpu.library import loading
from spair.runtime.cpu.network import TUNING
from spair.runtime.cpu.opening import open_cpu_network
from spair.runtime.errors import UserError
from spair.runtime.tiling.costs import Tuning
from spair.runtime.tuning import save_tuning


def test_it_is_chosen_by_name(tiny_bundle, compiler):
    with Restorer.open(tiny_bundle, backend="cpu", precision="auto") as restorer:
        assert restorer.backend == "cpu" and restorer.network.paths == ("packed",)


def test_it_restores_without_onnxruntime(tiny_bundle, compiler, monkeypatch):
    """Nothing is compared then; costs that were measured with it do not count."""
    picture = np.random.default_rng(0).random((33, 47, 3), np.float32)
    with Restorer.open(tiny_bundle, backend="cpu", threads=1) as restorer:
        expected = restorer(picture)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with Restorer.open(tiny_bundle, backend="cpu", threads=1) as restorer:
        found = restorer(picture)
    assert 0 < found.density < 1
    np.testing.assert_array_equal(found.image, expected.image)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tile_path": "dense"}, "the backend cpu computes rows only"),
        ({"precision": "int8"}, "no row program in int8, but in fp32"),
        ({"threads": 0}, "the number of threads is 0, expected 1 or more"),
    ],
)
def test_options_that_are_refused(tiny_bundle, compiler, options, words):
    with pytest.raises(UserError, match=words):
        Restorer.open(tiny_bundle, backend="cpu", **options)


def test_a_bundle_of_an_older_version(tiny_bundle, tmp_path):
    copy = tmp_path / "old.spair"
    shutil.copytree(tiny_bundle, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    for name in manifest.pop("rows")["fp32"].values():
        del manifest["files"][name]
        (copy / name).unlink()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        UserError, match=r"has no row program for the backend cpu.*export it again, or use --backend onnx"
    ):
        Restorer.open(copy, backend="cpu")
    with Restorer.open(copy) as restorer:
        assert restorer.backend == "onnxruntime"


def test_a_changed_file_is_refused(tiny_bundle, tmp_path, compiler):
    copy = tmp_path / "changed.spair"
    shutil.copytree(tiny_bundle, copy)
    arrays = copy / Bundle.open(copy).manifest.rows["fp32"]["arrays"]
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"rows.bin was changed"):
        open_cpu_network(Bundle.open(copy), "fp32")


def test_a_manifest_that_does_not_list_the_program_is_refused(tiny_bundle, tmp_path):
    copy = tmp_path / "unlisted.spair"
    shutil.copytree(tiny_bundle, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"][manifest["rows"]["fp32"]["arrays"]]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"rows.bin is not listed among its files"):
        Bundle.open(copy)


def test_without_a_compiler(tiny_bundle, monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "find_ready", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"the backend cpu is not available: there is no C\+\+ compiler"):
        Restorer.open(tiny_bundle, backend="cpu")


def test_an_instruction_set_that_is_unknown(tiny_bundle, compiler):
    with pytest.raises(UserError, match="no instruction set 'mmx'"):
        open_cpu_network(Bundle.open(tiny_bundle), "fp32", instructions="mmx")


def test_auto_takes_the_precision_that_a_calibration_found_fastest(tiny_bundle, compiler, monkeypatch):
    asked = []
    monkeypatch.setattr(opening, "choose_rows", lambda bundle, threads: asked.append(threads) or "bf16")
    with Restorer.open(tiny_bundle, backend="cpu", precision="auto", threads=1) as restorer:
        assert restorer.network._localizer._halves and asked == [1]


@pytest.mark.parametrize("precision", ["int8", "int8-bf16", "bf16", "auto"])
def test_the_kernels_run_the_precision_that_was_asked_for(int8_bundle, compiler, monkeypatch, precision):
    """Also where the choice of the backend is left open."""
    monkeypatch.setattr("spair.runtime.cpu.choice.compare_rows", lambda *arguments: 0.5)
    monkeypatch.setattr("spair.runtime.cpu.choice.choose_rows", lambda *arguments: "int8")
    monkeypatch.setattr(opening, "choose_rows", lambda *arguments: "int8")
    with Restorer.open(int8_bundle, precision=precision, threads=1) as restorer:
        network = restorer.network
        kinds = {layer.form.kind for layer in network._restorer._layers.values()}
        assert restorer.backend == "cpu" and network.precision == ("int8" if precision == "auto" else precision)
        assert kinds == {"int8": {"i8", "f32"}, "int8-bf16": {"i8", "bf16"}, "bf16": {"bf16"}}[network.precision]


def test_bfloat16_needs_no_files_of_its_own(tiny_bundle, compiler):
    with Restorer.open(tiny_bundle, backend="cpu", precision="bf16", threads=1) as restorer:
        assert restorer.network._localizer._halves and restorer.network._restorer._halves


def test_costs_that_were_measured_here_are_used(tiny_bundle, compiler, monkeypatch, tmp_path):
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path))
    bundle, measured = Bundle.open(tiny_bundle), Tuning(5000.0, 5000.0, 100.0, 1e5)
    found = []
    for backend in ("onnxruntime", "cpu"):
        save_tuning(bundle, "fp32", 1, measured, backend=backend)
        network = open_cpu_network(bundle, "fp32", threads=1)
        found.append(network.tuning)
        network.close()
    assert found == [TUNING, measured]
