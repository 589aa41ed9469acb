"""A tiny two-stage network and a foreign one as real bundles: random weights, honest receptive fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.runtime.bundle.reader import Bundle
from spair.runtime.bundle.writer import write_bundle
from tests.runtime.images.samples import make

CHANNELS = (4, 6, 5)
GRID = 4
HALO_L = 24  # receptive field radius below: 16 pixels (see net_l), plus room for odd phases
HALO_R = 16  # 10 pixels (see net_r)
IMAGE = ["N", 3, "H", "W"]


class GraphWriter:
    """Appends nodes and random weights; every method returns the name of its output."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(seed)

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def const(self, value: object, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def conv(self, x: str, c_in: int, c_out: int, stride: int = 1) -> str:
        weight = self._random.normal(0, 1.2 / np.sqrt(9 * c_in), (c_out, c_in, 3, 3))
        bias = self._random.normal(0, 0.2, c_out)
        inputs = (x, self.const(weight), self.const(bias))
        return self.op("Conv", *inputs, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[stride, stride])

    def up(self, x: str) -> str:
        scales = self.const([1, 1, 2, 2])
        return self.op(
            "Resize", x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )  # fmt: skip

    def pool(self, x: str) -> str:
        return self.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])

    def save(self, inputs: dict[str, list], outputs: dict[str, str]) -> bytes:
        nodes = [*self.nodes, *(helper.make_node("Identity", [t], [name]) for name, t in outputs.items())]
        graph = helper.make_graph(
            nodes,
            "synthetic",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in inputs.items()],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        return model.SerializeToString()


def net_l() -> bytes:
    """A U-Net over three scales; the mask is where red is above 0.75, so that tests can draw it."""
    g, (c0, c1, c2) = GraphWriter(seed=1), CHANNELS
    f0 = g.op("Tanh", g.conv("image", 3, c0))
    f1 = g.op("Tanh", g.conv(f0, c0, c1, stride=2))
    f2 = g.op("Tanh", g.conv(f1, c1, c2, stride=2))
    f2 = g.op("Tanh", g.conv(f2, c2, c2))
    f1 = g.op("Tanh", g.op("Add", f1, g.conv(g.up(f2), c2, c1)))
    f0 = g.op("Tanh", g.op("Add", f0, g.conv(g.up(f1), c1, c0)))
    red = g.op("Slice", "image", *(g.const([v], np.int64) for v in (0, 1, 1)))
    mask = g.op("Cast", g.op("Greater", red, g.const(0.75)), to=TensorProto.FLOAT)
    return g.save({"image": IMAGE}, {"mask": mask, "f0": f0, "f1": f1, "f2": f2})


def net_r() -> bytes:
    """Modulates f1 and f2, attends to the clean keys, decodes, and gates its output by the mask."""
    g, (c0, c1, c2) = GraphWriter(seed=2), CHANNELS
    m1 = g.pool("mask")
    m2 = g.pool(m1)
    f1, f2 = (_modulated(g, s, m) for s, m in ((1, m1), (2, m2)))
    f2 = g.op("Add", f2, _attention(g, f2, c2))
    up1 = g.op("Tanh", g.op("Add", f1, g.conv(g.up(f2), c2, c1)))
    up0 = g.op("Tanh", g.op("Add", "f0", g.conv(g.up(up1), c1, c0)))
    residual = g.conv(g.op("Concat", up0, "image", "mask", axis=1), c0 + 4, 3)
    clipped = g.op("Clip", g.op("Add", "image", residual), g.const(0.0), g.const(1.0))
    restored = g.op("Where", g.op("Greater", "mask", g.const(0.5)), clipped, "image")
    inputs: dict[str, list] = {"image": IMAGE, "mask": ["N", 1, "H", "W"]}
    inputs |= {f"f{s}": ["N", c, f"H{s}", f"W{s}"] for s, c in enumerate(CHANNELS)}
    inputs |= {f"{what}{s}": ["N", CHANNELS[s], 1, 1] for s in (1, 2) for what in ("scale", "shift")}
    inputs |= {"keys": ["N", c2, GRID, GRID], "key_mask": ["N", 1, GRID, GRID]}
    return g.save(inputs, {"restored": restored})


def _modulated(g: GraphWriter, scale: int, mask: str) -> str:
    changed = g.op("Add", g.op("Mul", f"f{scale}", f"scale{scale}"), f"shift{scale}")
    return g.op("Where", g.op("Greater", mask, g.const(0.5)), changed, f"f{scale}")


def _attention(g: GraphWriter, x: str, channels: int) -> str:
    cells = GRID * GRID
    keys = g.op("Reshape", "keys", g.const([1, channels, cells], np.int64))  # [1, C, G*G]
    present = g.op("Reshape", "key_mask", g.const([1, 1, cells], np.int64))
    queries = g.op("Transpose", g.op("Reshape", x, g.const([1, channels, -1], np.int64)), perm=[0, 2, 1])
    hidden = g.op("Mul", g.op("Sub", present, g.const(1.0)), g.const(1e9))
    weights = g.op("Softmax", g.op("Add", g.op("MatMul", queries, keys), hidden), axis=-1)
    mixed = g.op("MatMul", weights, g.op("Transpose", keys, perm=[0, 2, 1]))
    return g.op("Reshape", g.op("Transpose", mixed, perm=[0, 2, 1]), g.op("Shape", x))


def foreign_model() -> bytes:
    """Three convolutions (receptive field radius 3), residual, with a second output that nobody asked for."""
    g = GraphWriter(seed=3)
    x = g.op("Tanh", g.conv("image", 3, 6))
    x = g.op("Tanh", g.conv(x, 6, 6))
    residual = g.conv(x, 6, 3)
    half = g.op("Mul", residual, g.const(0.1))
    return g.save({"image": IMAGE}, {"residual": residual, "restored": g.op("Add", "image", half)})


def spair_fields(**network: object) -> dict:
    settings = {"multiple": 8, "halo_l": HALO_L, "halo_r": HALO_R, "grid": GRID, "channels": list(CHANNELS)}
    return {
        "kind": "spair",
        "name": "synthetic",
        "task": "rain",
        "preset": "tiny",
        "network": {**settings, "eps": 1e-5, "mask_threshold": 0.35, **network},
        "graphs": {"fp32": {"net_l": "graphs/fp32/net_l.onnx", "net_r": "graphs/fp32/net_r.onnx"}},
        "operators": {"SparseConv2d": 3},
        "opset": 18,
        "inputs": [{"name": "image", "channels": 3}],
        "outputs": ["restored", "mask"],
    }


@dataclass(frozen=True)
class BundleFactory:
    """Writes synthetic bundles into a folder of the test's own."""

    folder: Path
    net_l: bytes
    net_r: bytes
    foreign: bytes

    def spair(self, name: str = "tiny.spair", **network: object) -> Bundle:
        """A two-stage bundle; keyword arguments override entries of its "network"."""
        files = {"graphs/fp32/net_l.onnx": self.net_l, "graphs/fp32/net_r.onnx": self.net_r}
        return write_bundle(self.folder / name, spair_fields(**network), files)

    def packed(self, crossover: float) -> Bundle:
        """A two-stage bundle that has a packed graph too (here the same one under another name)."""
        fields = spair_fields(crossover=crossover)
        fields["graphs"]["fp32"]["net_r_packed"] = "graphs/fp32/net_r_packed.onnx"
        parts = {"net_l": self.net_l, "net_r": self.net_r, "net_r_packed": self.net_r}
        files = {f"graphs/fp32/{part}.onnx": data for part, data in parts.items()}
        return write_bundle(self.folder / "packed.spair", fields, files)

    def other(self, **network: object) -> Bundle:
        """A foreign bundle."""
        fields = {
            "kind": "foreign",
            "name": "other",
            "network": {"multiple": 4, "halo": 3, **network},
            "graphs": {"fp32": {"model": "graphs/fp32/model.onnx"}},
            "inputs": [{"name": "image", "channels": 3}],
            "outputs": ["restored", "residual"],
        }
        return write_bundle(self.folder / "other.spair", fields, {"graphs/fp32/model.onnx": self.foreign})


@pytest.fixture(scope="session")
def graphs() -> tuple[bytes, bytes, bytes]:
    return net_l(), net_r(), foreign_model()


@pytest.fixture
def bundles(tmp_path: Path, graphs: tuple[bytes, bytes, bytes]) -> BundleFactory:
    return BundleFactory(tmp_path, *graphs)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with pictures of four formats in subfolders, and files that are none or hidden."""
    folder = tmp_path / "in"
    for name in ("b.png", "a.jpg", "sub/c.webp", "sub/deep/d.tif"):
        make(folder / name)
    (folder / "notes.txt").write_text("no picture")
    make(folder / ".hidden.png")
    return folder
