"""Network in one ONNX file that takes and gives bytes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..backends.onnxruntime import OnnxGraph
from ..backends.registry import find_backend
from ..clock import StageClock
from ..errors import GateError, UserError, quote
from ..graphs import THRESHOLD, find_logit_of, list_outside, read_graph
from ..tiling.network import BytesOutput, Known, NetworkOutput, PaddedPicture, TileCounts
from ..tiling.planning import Limits, TilePath
from ..tiling.spec import BytesNetwork, find_logit

SUFFIX = ".onnx"
"""Suffix of the files."""
CONTRACT = "1"
"""Version of inputs, outputs and facts that this version reads."""
DEVICES = {"onnxruntime": "cpu", "cuda": "cuda"}
"""Device of each backend that runs the files."""
_INPUTS = {"image": "tensor(uint8)"}
_OUTPUTS = {"restored": "uint8", "mask": "uint8", "density": "float32"}
_FACT = "spair."


@dataclass(frozen=True)
class Batch:
    """Output for pictures of one size."""

    restored: np.ndarray
    """[N, 3, H, W] uint8."""
    mask: np.ndarray
    """[N, 1, H, W] uint8, 1 where distorted, else 0; ones for a network without a mask."""
    density: np.ndarray
    """[N] float32, share of the mask that is 1; NaN where the network gave values that are not finite."""


class ServedNetwork:
    """Network in one ONNX file that `spair export --served` writes.

    Pictures are not cut into tiles, so memory grows with the picture. 8-bit RGB goes through the file as it is. Any
    other picture is rounded to 8-bit RGB for the network; where the mask is set it gets the network's bytes, scaled to
    its own range, and elsewhere it keeps its own values. The graph does not say which path a picture took: one with
    distortion counts as packed, and as dense where the network has no mask.
    """

    paths: Sequence[TilePath] = ("dense",)

    def __init__(self, graph: OnnxGraph) -> None:
        """Take over a graph.

        Args:
            graph: the loaded file.

        Raises:
            UserError: it is no served graph, or one of another version.
        """
        self._graph = graph
        self.facts = read_facts(graph)
        """Facts by name without "spair.": name, task, preset, kind, precision, ..."""
        self._has_mask = self.facts["kind"] == "spair"
        self.takes_threshold = self._has_mask and THRESHOLD in graph.optional
        own = _find_own_threshold(graph) if self.takes_threshold else None
        self.spec = BytesNetwork(self._has_mask, self.facts.get("gate_output") == "1", mask_threshold=own)
        """Whether the network has a mask and gates its output."""

    def restore_batch(self, images: np.ndarray, threshold: float | None = None) -> Batch:
        """Restore pictures of one size.

        Threads may call this.

        Args:
            images: [N, 3, H, W] uint8; N, H and W are at least 1.
            threshold: probability above which a pixel counts as distorted, 0..1; None for the network's own.

        Raises:
            ValueError: the array is of another type or shape, or the network was closed.
            MemoryError: there is not enough memory for the pictures.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
            raise ValueError(f"the pictures are {images.dtype} {images.shape}, expected uint8 [N, 3, H, W]")
        feeds = {"image": images}
        if threshold is not None:
            feeds[THRESHOLD] = np.array([find_logit(threshold)], np.float32)
        found = self._graph.run(feeds)
        return Batch(found["restored"], found["mask"], found["density"])

    def restore_bytes(self, image: np.ndarray, known: Known, limits: Limits, clock: StageClock) -> BytesOutput | None:
        """Restore an 8-bit picture.

        See `Network.restore_bytes`.

        Returns:
            None for a network without a mask, whose pictures go through `restore`, and where a mask is given.

        Raises:
            GateError: the network gave values that are not finite.
        """
        if not self._has_mask or known.mask is not None:
            return None
        found, tiles = self._run(np.moveaxis(image, 2, 0)[None], known, clock)
        with clock.stage("post"):
            restored = np.ascontiguousarray(np.moveaxis(found.restored[0], 0, 2))
            distorted = found.mask[0, 0].astype(bool)
        return BytesOutput(restored, distorted, float(np.count_nonzero(distorted)) / distorted.size, tiles)

    def restore(self, picture: PaddedPicture, limits: Limits, clock: StageClock) -> NetworkOutput:
        """Restore one picture of any type.

        Args:
            picture: the picture, without padding or mask.
            limits: they have no effect.
            clock: gets the seconds of "model".

        Raises:
            GateError: the network gave values that are not finite.
        """
        images = (picture.image * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)
        found, tiles = self._run(images, picture.known, clock)
        mask = found.mask[0, 0].astype(bool) if self._has_mask else None
        return NetworkOutput(found.restored / np.float32(255.0), mask, tiles)

    def close(self) -> None:
        """Close the graph; may be called twice."""
        self._graph.close()

    def _run(self, images: np.ndarray, known: Known, clock: StageClock) -> tuple[Batch, TileCounts]:
        with clock.stage("model"):
            found = self.restore_batch(images, known.threshold)
        if not np.isfinite(found.density).all():
            raise GateError(
                f"the network in {self._graph.path} gave values that are not finite; "
                "make the file again with --precision fp32 or of another checkpoint"
            )
        path = "dense" if not self._has_mask else "packed" if found.density[0] else "skipped"
        return found, TileCounts().adding(path)


def _find_own_threshold(graph: OnnxGraph) -> float | None:
    """Return the probability whose logit a graph compares with.

    Of those that round to this logit it is the shortest number with at most six digits, where there is one.
    """
    logit = find_logit_of(read_graph(graph.path))
    if logit is None:
        return None
    exact = 1.0 / (1.0 + math.exp(-logit))
    return next(
        (short for short in (round(exact, digits) for digits in range(1, 7)) if _has_logit(short, logit)), exact
    )


def _has_logit(threshold: float, logit: float) -> bool:
    return 0.0 < threshold < 1.0 and find_logit(threshold) == logit


def is_served(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is that of an ONNX file."""
    return Path(path).suffix.lower() == SUFFIX and not Path(path).is_dir()


def open_served(path: Path, backend: str, precision: str, threads: int | None) -> tuple[ServedNetwork, str]:
    """Open a served graph.

    Args:
        path: the file.
        backend: "onnxruntime", "cuda" or "auto", which takes the first.
        precision: that of the file, or "fp32" or "auto", which take the file as it is.
        threads: number of threads inside an operator; None takes all cores.

    Returns:
        The network, and the name of its backend.

    Raises:
        UserError: there is no such file; it is no served graph; it has another precision; the backend does not run it.
    """
    _check_file(path)
    if backend not in (*DEVICES, "auto"):
        raise UserError(
            f"{path} is a served graph, which runs on {' or '.join(DEVICES)}, not on {backend}; give one of these, or "
            "the bundle"
        )
    name = find_backend(backend).name
    graph = OnnxGraph(path, threads=threads, device=DEVICES[name])
    try:
        network = ServedNetwork(graph)
        own = network.facts["precision"]
        if precision not in (own, "fp32", "auto"):
            raise UserError(f"{path} is a served graph in {own}, not in {precision}; leave the precision out")
    except UserError:
        graph.close()
        raise
    return network, name


def find_facts(path: Path) -> Mapping[str, str]:
    """Load a served graph and return its facts; see `read_facts`.

    Raises:
        UserError: there is no such file, or it is no served graph.
    """
    _check_file(path)
    with OnnxGraph(path) as graph:
        return read_facts(graph)


def read_facts(graph: OnnxGraph) -> Mapping[str, str]:
    """Return the facts that a served graph states.

    Returns:
        Texts by name: contract, version, name, task, preset, kind, precision, multiple, gate_output and checkpoint.

    Raises:
        UserError: it is no served graph, or one of another version.
    """
    facts = {name.removeprefix(_FACT): text for name, text in graph.facts.items() if name.startswith(_FACT)}
    path = graph.path
    if "contract" not in facts:
        raise UserError(f"{path} is an ONNX file, but no served graph; {_advise(path)}")
    if facts["contract"] != CONTRACT:
        raise UserError(
            f"{path} is a served graph of version {facts['contract']}, and this version of spair-rt reads version "
            f"{CONTRACT}; {_advise(path)}"
        )
    outputs = {name: value.element_name for name, value in read_graph(path).outputs.items()}
    if graph.inputs != _INPUTS or outputs != _OUTPUTS or not {"kind", "precision"} <= facts.keys():
        raise UserError(f"{path} calls itself a served graph, but has other inputs, outputs or facts; {_advise(path)}")
    return facts


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"there is no file {path}; {_advise(path)}")
    outside = list_outside(path)
    if outside:
        raise UserError(
            f"{path} is refused: it takes weights from the file {outside[0]!r}, so they could be any; {_advise(path)}"
        )


def _advise(path: Path) -> str:
    return f"make it of a bundle: spair export NAME.spair --served {quote(Path(path.name))}"
