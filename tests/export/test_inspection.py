"""Facts of `spair inspect` where packages are missing; the others are tested through the verb."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from spair.export.inspection import inspect_bundle

SIZES = ("parameters", "parameters_by_block", "macs", "macs_share")


def test_without_torch_the_size_is_unknown_and_all_else_is_told(tiny_bundle, monkeypatch):
    complete = inspect_bundle(tiny_bundle)
    assert all(complete[key] for key in SIZES)
    monkeypatch.setitem(sys.modules, "spair.network", None)
    report = inspect_bundle(tiny_bundle)
    assert [report.pop(key) for key in SIZES] == [None] * 4
    assert report == {key: value for key, value in complete.items() if key not in SIZES}


@pytest.mark.parametrize("installed", [True, False])
def test_a_foreign_networks_parameters_are_counted_from_its_graph(tiny_bundle, tmp_path, monkeypatch, installed):
    foreign = Path(shutil.copytree(tiny_bundle, tmp_path / "foreign.spair"))
    manifest = json.loads((foreign / "manifest.json").read_text())
    manifest |= {"kind": "foreign", "network": {"multiple": 8, "halo": 8}}
    (foreign / "manifest.json").write_text(json.dumps(manifest))
    trained = inspect_bundle(tiny_bundle)["parameters"]
    if not installed:
        monkeypatch.setitem(sys.modules, "onnx", None)
    report = inspect_bundle(foreign)
    assert report["macs"] is None
    if installed:
        assert trained <= report["parameters"] < 1.01 * trained, "constants of the graph are few"
    else:
        assert report["parameters"] is None
