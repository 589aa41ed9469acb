"""Costs of this machine: measured from the graphs, kept for exactly what was measured, and never in the way."""

import json

import pytest

from spair.runtime import Restorer, UserError
from spair.runtime.tiling.costs import CROSSOVER, Tuning
from spair.runtime.tiling.spec import SpairNetwork
from spair.runtime.tuning import assume_tuning, load_tuning, save_tuning

KNOWN = Tuning(dense_ns=3000.0, packed_ns=5000.0, window_ns=100.0, call_ns=1e6)
ENDLESS = '{"dense_ns": 1, "packed_ns": Infinity, "window_ns": 0, "call_ns": 0}'


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_measurement_is_kept_for_these_graphs_threads_and_precision_only(bundles, own_cache):
    bundle, other = bundles.packed(0.5), bundles.spair()
    path = save_tuning(bundle, "fp32", 2, KNOWN)
    assert path.parent == own_cache
    assert load_tuning(bundle, "fp32", 2) == KNOWN
    assert load_tuning(bundle, "fp32", 1) is None
    assert load_tuning(bundle, "fp32", None) is None
    assert load_tuning(bundle, "fp32", 2, backend="cuda") is None
    assert load_tuning(bundle, "int8", 2) is None
    assert load_tuning(other, "fp32", 2) is None


def test_precisions_without_graphs_are_told_apart(bundles, own_cache):
    """By what they are derived from, too."""
    bundle, other = bundles.packed(0.5), bundles.spair()
    save_tuning(bundle, "bf16", 1, KNOWN)
    assert load_tuning(bundle, "bf16", 1) == KNOWN
    assert load_tuning(bundle, "int8-bf16", 1) is None
    assert load_tuning(bundle, "fp32", 1) is None
    assert load_tuning(other, "bf16", 1) is None


def test_a_restorer_plans_with_what_was_measured(bundles, own_cache):
    bundle = bundles.packed(0.5)
    save_tuning(bundle, "fp32", 1, KNOWN)
    with Restorer.open(bundle.path, threads=1) as restorer:
        assert restorer.network.tuning == KNOWN
    with Restorer.open(bundle.path, threads=2) as restorer:
        assert restorer.network.tuning == Tuning.assumed(0.5)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"dense_ns": 1}', json.dumps({"dense_ns": "fast"}), ENDLESS])
def test_a_damaged_measurement_is_no_measurement(bundles, own_cache, text):
    bundle = bundles.packed(0.5)
    save_tuning(bundle, "fp32", 1, KNOWN).write_text(text)
    assert load_tuning(bundle, "fp32", 1) is None


def test_a_folder_that_cannot_be_written_is_named(bundles, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot keep the measurement of .*packed.*file.*set SPAIR_CACHE to a folder"):
        save_tuning(bundles.packed(0.5), "fp32", 1, KNOWN)


def test_a_user_without_a_home_restores_all_the_same(bundles, monkeypatch):
    def homeless():
        raise RuntimeError("could not determine home directory")

    monkeypatch.delenv("SPAIR_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("spair.runtime.tuning.Path.home", homeless)
    bundle = bundles.packed(0.5)
    Restorer.open(bundle.path).close()
    with pytest.raises(
        UserError,
        match="^cannot find the cache folder: .*home directory; set SPAIR_CACHE to a folder that can be written$",
    ):
        save_tuning(bundle, "fp32", 1, KNOWN)


def make_spec(crossover=None):
    return SpairNetwork(multiple=8, halo_l=1, halo_r=1, grid=4, crossover=crossover)


@pytest.mark.parametrize(
    ("features", "precision", "backend", "expected"),
    [
        (["avx2", "fma", "avx512f"], "fp32", "onnxruntime", 0.82),
        (["avx2", "fma"], "fp32", "onnxruntime", 0.95),
        (["avx2", "fma"], "fp16", "onnxruntime", 0.95),
        (["asimd"], "fp32", "onnxruntime", CROSSOVER),
        ([], "fp32", "onnxruntime", CROSSOVER),
        (["avx2"], "fp32", "cuda", CROSSOVER),
        (["avx2"], "int8", "cuda", CROSSOVER),
    ],
)
def test_the_cross_over_is_predicted_from_the_processor(monkeypatch, features, precision, backend, expected):
    monkeypatch.setattr("spair.runtime.tuning.read_features", lambda: features)
    assert assume_tuning(make_spec(), precision, backend).crossover == pytest.approx(expected)
    assert assume_tuning(make_spec(0.3), precision, backend).crossover == pytest.approx(0.3)


@pytest.mark.parametrize("features", [["asimd"], ["avx2", "avx_vnni"]])
def test_packed_int8_is_cheaper_at_any_share(monkeypatch, features):
    monkeypatch.setattr("spair.runtime.tuning.read_features", lambda: features)
    tuning = assume_tuning(make_spec(), "int8", "onnxruntime")
    assert tuning.packed_cost(10_000, 10_000) < tuning.dense_cost(10_000)


def test_a_bundle_that_states_no_cross_over_is_planned_for_this_processor(bundles, monkeypatch, own_cache):
    monkeypatch.setattr("spair.runtime.tuning.read_features", lambda: ["avx2"])
    with Restorer.open(bundles.spair().path, threads=1, backend="onnxruntime") as restorer:
        assert restorer.network.tuning.crossover == pytest.approx(0.95)
