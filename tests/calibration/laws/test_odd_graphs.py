"""Graphs that somebody edited are refused with the node, and nothing is written."""

import json
from dataclasses import replace

import numpy as np
import onnx

from spair.runtime.files import sha256
from tests.calibration.test_calibrate import change_manifest, refuse


def test_a_graph_that_a_pass_refuses_is_one_sentence_with_its_node(bundle, pairs, options, tmp_path, monkeypatch):
    """Here of somebody who put a branch around the result."""
    file = bundle / "graphs/fp32/net_r.onnx"
    model = onnx.load(file)
    last = next(node for node in model.graph.node if "restored" in node.output)
    last.output[list(last.output).index("restored")] = "inner"
    same = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["inner"], ["same"])], "same", [],
        [onnx.helper.make_tensor_value_info("same", onnx.TensorProto.FLOAT, None)],
    )  # fmt: skip
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "always"))
    model.graph.node.append(onnx.helper.make_node("If", ["always"], ["restored"], then_branch=same, else_branch=same))
    onnx.save(model, file)
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    change_manifest(bundle, files={**files, "graphs/fp32/net_r.onnx": sha256(file)})
    words = (
        r"cannot calibrate .*\.spair to fp16: PackSparse .* If restored has a subgraph, .*; restore with --precision"
    )
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    refuse(bundle, pairs / "input", replace(options, precision="fp16", quick=True, max_loss=60.0), words)
