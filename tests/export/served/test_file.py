"""The file of a served graph is written whole or not at all."""

import onnx
import pytest

from spair.export.served import file as module
from spair.export.served.file import write_served_graph
from spair.export.served.graph import make_served_graph
from spair.runtime import Bundle
from spair.runtime.errors import UserError


def test_the_file_is_the_graph_and_its_facts_are_told(tiny_bundle, tmp_path):
    out = tmp_path / "rain.onnx"
    facts = write_served_graph(tiny_bundle, out)
    assert onnx.load(out) == make_served_graph(Bundle.open(tiny_bundle))
    assert facts == {
        "path": str(out),
        "bytes": out.stat().st_size,
        "precision": "fp32",
        "opset": 18,
        "task": "rain",
        "preset": "tiny",
    }


def test_an_existing_file_stays_unless_it_may_be_replaced(bundles, tmp_path, monkeypatch):
    out, bundle = tmp_path / "rain.onnx", bundles.spair().path
    out.write_bytes(b"old")
    with pytest.raises(UserError, match="rain.onnx exists; add --force to replace it"):
        write_served_graph(bundle, out)
    with pytest.raises(UserError, match="has no int8 graphs"):
        write_served_graph(bundle, out, precision="int8", force=True)
    assert out.read_bytes() == b"old" and [path.name for path in tmp_path.glob("*.tmp")] == []
    write_served_graph(bundle, out, force=True)
    assert out.read_bytes() != b"old"


def test_another_suffix_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "make_served_graph", lambda *given: pytest.fail("worked"))
    with pytest.raises(UserError, match=r"a served graph is a file NAME\.onnx, got .*rain\.plan; end its name"):
        write_served_graph(tmp_path / "absent.spair", tmp_path / "rain.plan")
