"""Costs of this machine: measured from the graphs, kept for exactly what was measured, and never in the way."""

import json

import pytest

from spair.runtime import Restorer, UserError
from spair.runtime.tiling.costs import Tuning
from spair.runtime.tuning import load_tuning, save_tuning

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
