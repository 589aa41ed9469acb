"""OpenVINO in INT8, with ranges that NNCF finds on pictures.

This is the post-training quantization that OpenVINO's authors recommend. What it loses is measured beside its speed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner

from benchmarks.peers.graphs import Arrays, Compute
from benchmarks.peers.install import PeerAbsentError, first_line, load_package
from spair.runtime.pixels import to_network

NAME = "openvino-nncf"
SILENT = {"NNCF_CI": "1"}
"""Variables with which it reports to nobody."""
SIZE = (320, 480)
"""Height and width of the part of a picture that ranges are found on."""


class NncfPeer:
    """Quantized graph of a whole network."""

    def __init__(self, graph: Path, pictures: Sequence[np.ndarray], threads: int) -> None:
        """Find the ranges; it takes a minute.

        Args:
            graph: the graph "model" of a bundle in FP32.
            pictures: [H, W, 3] uint8, each of at least `SIZE`, upright or lying.
            threads: number of threads.

        Raises:
            PeerAbsentError: the packages cannot be had here, or do not take the graph; no picture is large enough.
        """
        os.environ.update(SILENT)
        self._openvino, nncf = load_package("openvino"), load_package("nncf")
        self._threads = threads
        parts = [part for picture in pictures if (part := _cut(picture)) is not None]
        if not parts:
            raise PeerAbsentError(f"no picture has {SIZE[1]}x{SIZE[0]} pixels for its ranges")
        try:
            written = onnx.inliner.inline_local_functions(onnx.load(graph)).SerializeToString()
            model = self._openvino.Core().read_model(written)
            model.reshape({"image": [1, 3, *SIZE]})
            dataset = nncf.Dataset(parts, lambda part: {"image": part})
            preset = nncf.QuantizationPreset.MIXED
            self._model = nncf.quantize(model, dataset, preset=preset, subset_size=len(parts))
        except Exception as error:  # its passes raise errors of many types
            raise PeerAbsentError(f"NNCF cannot quantize the graph: {first_line(error)}") from error

    def open(self, size: tuple[int, int]) -> Compute:
        """Compile the graph for pictures of one size."""
        model = self._model.clone()
        model.reshape({"image": [1, 3, *size]})
        options: Mapping[str, Any] = {"INFERENCE_NUM_THREADS": self._threads, "PERFORMANCE_HINT": "LATENCY"}
        request = self._openvino.Core().compile_model(model, "CPU", options).create_infer_request()

        def compute(feeds: Arrays) -> Arrays:
            results = request.infer(dict(feeds), share_inputs=True, share_outputs=True)
            return {name: results[name] for name in ("restored", "mask")}

        return compute


def _cut(picture: np.ndarray) -> np.ndarray | None:
    """Cut a part of `SIZE` out of a picture."""
    if picture.shape[0] > picture.shape[1]:
        picture = picture.transpose(1, 0, 2)
    part = picture[: SIZE[0], : SIZE[1]]
    return to_network(part, 1) if part.shape[:2] == SIZE else None
