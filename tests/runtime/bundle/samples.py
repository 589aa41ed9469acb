"""Bundles on disk, changed and looked at behind the reader's back."""

import json
from pathlib import Path

import onnx

from spair.runtime.bundle.reader import Bundle
from spair.runtime.bundle.writer import write_bundle

GRAPH = "graphs/fp32/net_l.onnx"


def edit(bundle, **changes):
    """Overwrite top-level entries of a manifest on disk; None removes one."""
    file = bundle.path / "manifest.json"
    raw = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in raw.items() if value is not None}))
    return bundle.path


def snapshot(folder: Path):
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def make_older(bundle: Bundle, path: Path) -> Bundle:
    """Copy an exported bundle, with a whole graph as older versions exported it.

    Its Net_R reads in the padding what Net_L marked there.
    """
    model = onnx.load(bundle.graph("fp32", "model"))
    (pad,) = (node for node in model.graph.node if node.output[0] == "mask_repeated")
    model.graph.node.remove(pad)
    for node in model.graph.node:
        node.input[:] = ["mask_uncropped" if name == "mask_repeated" else name for name in node.input]
    onnx.checker.check_model(model, full_check=True)
    changed = {bundle.manifest.graphs["fp32"]["model"]: model.SerializeToString()}
    return write_bundle(path, dict(bundle.manifest.raw), {**bundle.contents(), **changed})
