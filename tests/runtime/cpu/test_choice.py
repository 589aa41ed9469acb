"""The kernels run what is left open wherever they give the same picture sooner; else a sentence says why not."""

import shutil

import pytest

from spair.runtime import Restorer
from spair.runtime.bundle.reader import Bundle
from spair.runtime.cpu import choice, comparison
from spair.runtime.cpu.choice import FASTER_SETS, refuse_kernels, refuse_machine
from spair.runtime.cpu.library import load_library, loading
from spair.runtime.cpu.library.sets import NEON
from spair.runtime.errors import UserError
from spair.runtime.tiling.costs import Tuning
from spair.runtime.tuning import save_tuning
from tests.runtime.bundle.samples import edit


@pytest.fixture
def proven(compiler, monkeypatch, tmp_path):
    """This processor's instruction set counts as timed, and nothing was measured on this machine."""
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(choice, "FASTER_SETS", (load_library().instructions.name,))


def open_auto(bundle, **options):
    with Restorer.open(bundle, threads=1, **options) as restorer:
        return restorer.backend, restorer.remark


def test_auto_takes_the_kernels(tiny_bundle, proven):
    assert open_auto(tiny_bundle) == open_auto(tiny_bundle, precision="auto") == ("cpu", None)
    assert open_auto(tiny_bundle, tile_path="packed") == ("cpu", None)
    assert open_auto(tiny_bundle, backend="onnxruntime") == ("onnxruntime", None)


def test_every_pixel_is_computed_by_onnx_runtime(tiny_bundle, proven):
    backend, remark = open_auto(tiny_bundle, tile_path="dense")
    assert backend == "onnxruntime" and remark == "the tile path is dense, and the backend cpu computes rows only"


def refuse(bundle, precision="fp32"):
    return refuse_kernels(Bundle.open(bundle), precision, threads=1, path="auto")


def test_lower_precisions_stay_with_onnx_runtime(tiny_bundle, proven, monkeypatch):
    assert refuse(tiny_bundle, "int8") == "no calibration timed the backend cpu in int8 on this machine"
    monkeypatch.setattr(choice, "choose_precisions", lambda *arguments: {"net_l": "fp32", "net_r": "int8"})
    assert refuse(tiny_bundle, "auto") == "no calibration timed the backend cpu in int8 on this machine"
    monkeypatch.setattr(choice, "compare_rows", lambda *arguments: 1.5)
    assert refuse(tiny_bundle, "int8") == "a calibration found the backend cpu slower here in int8, by 50 %"


def test_what_a_calibration_found_faster_here_is_taken(tiny_bundle, proven, monkeypatch):
    monkeypatch.setattr(choice, "compare_rows", lambda *arguments: 0.5)
    assert "has no row program in int8" in refuse(tiny_bundle, "int8")
    monkeypatch.setattr(choice, "choose_rows", lambda *arguments: "bf16")
    assert refuse(tiny_bundle, "auto") is None


def test_a_foreign_network_stays_with_onnx_runtime(bundles):
    path = bundles.other().path
    for precision in ("fp32", "auto"):
        assert "the backend cpu computes distorted pixels only" in refuse(path, precision)


def test_a_bundle_without_a_row_program_says_so(tiny_bundle, proven, tmp_path):
    copy = shutil.copytree(tiny_bundle, tmp_path / "old.spair")
    edit(Bundle.open(copy), rows={})
    backend, remark = open_auto(copy)
    assert backend == "onnxruntime" and remark.startswith(f"the bundle {copy} has no row program for the backend cpu")


def test_without_compiler_and_library_the_remedy_is_said(tiny_bundle, monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "find_ready", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    backend, remark = open_auto(tiny_bundle)
    assert backend == "onnxruntime" and "there is no C++ compiler" in remark and "apt-get install g++" in remark


def test_an_instruction_set_that_nobody_timed(tiny_bundle, compiler, monkeypatch, tmp_path):
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(choice, "FASTER_SETS", ())
    assert "were not yet timed against ONNX Runtime; spair profile MODEL --backend cpu" in refuse(tiny_bundle)
    assert refuse_machine() == refuse(tiny_bundle)
    assert NEON.name not in FASTER_SETS, "no ARM processor was at hand to time them"


KERNELS = Tuning(dense_ns=5000.0, packed_ns=5000.0, window_ns=100.0, call_ns=1e5)


@pytest.mark.parametrize(
    ("graphs", "words"),
    [
        (Tuning(dense_ns=4080.0, packed_ns=9000.0, window_ns=100.0, call_ns=1e6), "slower here, by 25 % where all"),
        (Tuning(dense_ns=9000.0, packed_ns=3980.0, window_ns=100.0, call_ns=1e6), "slower here, by 25 % where all"),
        (Tuning(dense_ns=6000.0, packed_ns=9000.0, window_ns=100.0, call_ns=1e6), None),
    ],
)
@pytest.mark.parametrize("timed", [True, False])
def test_a_measurement_on_the_machine_decides(tiny_bundle, compiler, monkeypatch, tmp_path, graphs, words, timed):
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(choice, "FASTER_SETS", (load_library().instructions.name,) if timed else ())
    bundle = Bundle.open(tiny_bundle)
    save_tuning(bundle, "fp32", 1, KERNELS, backend="cpu")
    assert (refuse(tiny_bundle) is None) is timed, "one measurement alone decides nothing"
    save_tuning(bundle, "fp32", 1, graphs)
    reason = refuse(tiny_bundle)
    assert reason is None if words is None else words in reason


@pytest.mark.parametrize("timed", [True, False])
def test_a_small_lead_counts_only_where_nothing_was_timed_elsewhere(
    tiny_bundle, compiler, monkeypatch, tmp_path, timed
):
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(choice, "FASTER_SETS", (load_library().instructions.name,) if timed else ())
    bundle = Bundle.open(tiny_bundle)
    save_tuning(bundle, "fp32", 1, KERNELS, backend="cpu")
    save_tuning(bundle, "fp32", 1, Tuning(dense_ns=4636.0, packed_ns=9000.0, window_ns=100.0, call_ns=1e6))
    reason = refuse(tiny_bundle)
    assert reason is None if timed else "by 10 %" in reason


def test_a_program_that_differs_is_left_to_onnx_runtime(tiny_bundle, proven, monkeypatch, tmp_path):
    monkeypatch.setattr(comparison, "cache_file", lambda kind, facts: tmp_path / kind)  # it passed in other tests
    monkeypatch.setattr(comparison, "is_close", lambda *_: False)
    backend, remark = open_auto(tiny_bundle)
    assert backend == "onnxruntime" and "the row program differs from" in remark
    with pytest.raises(UserError, match="the row program differs from"):
        Restorer.open(tiny_bundle, backend="cpu")


def test_a_damaged_program_is_refused(tiny_bundle, proven, tmp_path):
    copy = shutil.copytree(tiny_bundle, tmp_path / "changed.spair")
    arrays = copy / Bundle.open(copy).manifest.rows["fp32"]["arrays"]
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"rows.bin was changed"):
        open_auto(copy)
