"""Small graphs of a foreign network, changed in their fields, in bundles whose hashes fit."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from spair.runtime import Restorer
from tests.fuzz.mutations import mutate_bytes, mutate_message


def make_graphs() -> list[bytes]:
    """Return a graph that blurs a picture, and one that pools, resizes and concatenates."""
    weight = helper.make_tensor(
        "weight", TensorProto.FLOAT, [3, 3, 3, 3], np.full(81, 1 / 27, np.float32).tobytes(), True
    )
    sizes = helper.make_tensor("sizes", TensorProto.FLOAT, [4], np.array([1, 1, 2, 2], np.float32).tobytes(), True)
    convolve = helper.make_node("Conv", ["image", "weight"], ["blurred"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    clip = helper.make_node("Sigmoid", ["blurred"], ["restored"])
    pool = helper.make_node("MaxPool", ["image"], ["small"], kernel_shape=[2, 2], strides=[2, 2])
    resize = helper.make_node("Resize", ["small", "", "sizes"], ["blurred"], mode="nearest")
    return [_make_model([convolve, clip], [weight]), _make_model([pool, resize, clip], [sizes])]


def _make_model(nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> bytes:
    picture = [1, 3, "height", "width"]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, picture)],
        [helper.make_tensor_value_info("restored", TensorProto.FLOAT, picture)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def mutate_graph(data: bytes, chance: random.Random) -> bytes:
    """Change fields at any depth, sometimes bytes."""
    if chance.random() < 0.15:
        return mutate_bytes(data, chance)
    model = onnx.load_model_from_string(data)
    mutate_message(model.graph if chance.random() < 0.9 else model, chance)
    return bytes(model.SerializeToString())


def restore_with(folder: Path, graph: bytes) -> None:
    """Write a bundle of the graph, open it, and restore a picture with it."""
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(graph)
    manifest = {
        "schema": 1, "kind": "foreign", "name": "a", "task": "", "preset": "", "network": {"multiple": 2, "halo": 3},
        "graphs": {"fp32": {"model": "model.onnx"}}, "files": {"model.onnx": hashlib.sha256(graph).hexdigest()},
        "inputs": [{"name": "image", "channels": 3}], "outputs": ["restored"], "opset": 18,
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with Restorer.open(folder, backend="onnxruntime", threads=1) as restorer:
        restorer(np.full((21, 34, 3), 77, np.uint8))
