"""Networks that `benchmarks.network` measures, with their gates.

It makes bundles and pictures, and checks everything before it is timed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from benchmarks.common.measuring import TOLERANCE, require_equal
from benchmarks.peers.graphs import Compute, OpenPeer, Workload, open_onnxruntime
from benchmarks.peers.maskless import fill_masks
from spair.export.exporter import export_checkpoint
from spair.export.parity.check import restore_under
from spair.network import SPAIR, load_checkpoint, save_checkpoint
from spair.network.presets import find_preset
from spair.runtime import Bundle, GateError, Restorer
from spair.runtime.backends.onnxruntime import OnnxGraph
from spair.runtime.cpu.library import unavailable
from spair.runtime.cpu.opening import find_obstacle
from spair.runtime.pixels import from_network, to_network
from spair.runtime.profiling.costs import measure_tuning
from spair.runtime.shipped import list_models, make_ready
from spair.runtime.tuning import save_tuning

SHIPPED = {"tiny": "rain"}
"""Name of the shipped weights of each preset that has some; other presets get seeded random ones."""
LEAST_CHANGE = 100 * TOLERANCE
"""Least change of some distorted pixel in the reference, without which agreement with it would mean nothing."""
PEER_TOLERANCE = 1e-3
"""Largest error of a dense peer in float32, a quarter of a step of 8 bit.

Means over a whole picture of 3840x2160 make OpenVINO differ from PyTorch by 6e-4 and ONNX Runtime by 1e-4.
"""
ROUNDED_ERROR = 5e-3
"""Largest mean error of a network in bfloat16, which has 8 bits; leaving Net_R out errs by ten times as much."""
ROUNDED_FLIPS = 0.01
"""Share of the mask that bfloat16 may flip; a tenth of that was seen."""
PictureRun = Callable[[np.ndarray], np.ndarray]
"""Function from a picture [H, W, 3], uint8 or float32, to the restored one."""


class WholePicture(nn.Module):
    """Module that computes the same as the graph "model"."""

    def __init__(self, model: SPAIR) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Restore image [N,3,H,W] and return it with the mask [N,1,H,W]."""
        result = self.model(image)
        return result.image, result.mask


@dataclass(frozen=True)
class OpenedNetwork:
    """Preset that is exported and opened."""

    preset: str
    weights: str
    """Source of the weights, in words."""
    tuning: dict[str, dict[str, float]]
    """Measured costs of tiles on this machine by backend, which the routing uses."""
    model: SPAIR
    bundle: Bundle
    restorer: Restorer
    """Restorer, which adapts to the mask, on the backend that it takes by itself."""
    graphs: Restorer
    """Restorer on ONNX Runtime."""
    dense: Compute
    """Graph of the whole network on ONNX Runtime, the baseline."""
    net_l: OnnxGraph
    """Graph of the localization network alone."""
    threads: int

    def workload(self, image: np.ndarray) -> Workload:
        """Describe the network on pictures of this size for peers."""
        file, example = self.bundle.graph("fp32", "model"), {"image": to_network(image, 1)}
        return Workload(file, WholePicture(self.model).eval(), ("restored", "mask"), example, self.threads)


def make_bundle(preset: str, folder: Path) -> tuple[Path, Path, str]:
    """Take the bundle of shipped weights, or export.

    Random weights are exported into the folder. Returns the checkpoint, the bundle, and the source of the weights in
    words.
    """
    shipped = next((model for model in list_models() if model.name == SHIPPED.get(preset)), None)
    if shipped is not None:
        return shipped.checkpoint, make_ready(shipped), f"shipped, {shipped.checkpoint.name}"
    checkpoint, bundle = folder / f"{preset}.safetensors", folder / f"{preset}.spair"
    save_random(preset, checkpoint)
    export_checkpoint(checkpoint, bundle)
    return checkpoint, bundle, "random, seed 0"


def save_random(preset: str, checkpoint: Path, seed: int = 0) -> None:
    """Save random weights under which every layer changes the result.

    The masks are about a third of a picture.
    """
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    model = SPAIR(find_preset(preset)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.0, 0.05)
            elif name.endswith("second.weight") and "net_r" in name:  # zero at the start of training
                parameter.normal_(0.0, 0.02)
        model.net_r.out.weight.normal_(0.0, 0.02)  # nearly zero at the start of training
        logits, _ = model.net_l(torch.from_numpy(to_network(make_picture(256, 256), 8)))
        head = model.net_l.head.bias
        assert head is not None
        head[:4] += model.logit_threshold - logits.quantile(0.65)  # the four sub-pixels of the logit channel
    save_checkpoint(model, checkpoint, task="rain")
    torch.random.set_rng_state(state)


@contextlib.contextmanager
def open_network(preset: str, folder: Path, threads: int) -> Iterator[OpenedNetwork]:
    """Export and open a preset.

    Everything is closed at the end.
    """
    checkpoint, path, weights = make_bundle(preset, folder)
    torch.set_num_threads(threads)
    bundle = Bundle.open(path)
    tuning = tune_routing(bundle, threads)
    model = load_checkpoint(checkpoint).model.requires_grad_(False)
    with contextlib.ExitStack() as stack:
        restorer = stack.enter_context(Restorer.open(path, threads=threads))
        graphs = stack.enter_context(Restorer.open(path, backend="onnxruntime", threads=threads))
        net_l = stack.enter_context(OnnxGraph(bundle.graph("fp32", "net_l"), threads=threads))
        whole = Workload(bundle.graph("fp32", "model"), model, (), {}, threads)
        dense = stack.enter_context(open_onnxruntime(whole))
        yield OpenedNetwork(preset, weights, tuning, model, bundle, restorer, graphs, dense, net_l, threads)


def tune_routing(bundle: Bundle, threads: int) -> dict[str, dict[str, float]]:
    """Measure the cost of dense and of packed windows.

    They are measured on this machine, on both backends of the processor. The result is stored where `Restorer.open`
    looks it up, and returned by backend.
    """
    found = {}
    for backend in ("onnxruntime", "cpu"):
        if backend == "cpu" and (find_obstacle(bundle, "fp32", "auto") or unavailable()):
            continue
        tuning = measure_tuning(bundle, "fp32", threads, backend=backend)
        save_tuning(bundle, "fp32", threads, tuning, backend=backend)
        found[backend] = dataclasses.asdict(tuning)
    return found


def make_picture(height: int, width: int) -> np.ndarray:
    """Make a picture [height, width, 3] uint8.

    It has smooth colours, some noise and bright streaks.
    """
    random = np.random.default_rng(0)
    down, right = np.ogrid[:height, :width]
    waves = [np.sin(down / 37.0 + right / 53.0 * (channel + 1) / 2.0) for channel in range(3)]
    picture = 110.0 + 60.0 * np.stack(waves, -1) + random.normal(0.0, 4.0, (height, width, 3))
    picture[random.random((height, width)) < 0.05] += 70.0
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def run_with(compute: Compute) -> PictureRun:
    """Make a dense contender run from picture to picture.

    `spair demo` runs its baseline in this way.
    """

    def run(image: np.ndarray) -> np.ndarray:
        outputs = compute({"image": to_network(image, 1)})
        return from_network(image, outputs["restored"][0], outputs["mask"][0, 0] > 0.5)

    return run


def check_adaptive(network: OpenedNetwork, image: np.ndarray, mask: np.ndarray | None) -> float:
    """Compare the restorer with PyTorch under the same mask.

    Both float32 and 8 bit are compared.

    Args:
        network: network to check.
        image: [H, W, 3] uint8.
        mask: [H, W] bool, or None for the mask that Net_L finds.

    Returns:
        the largest error in float32.

    Raises:
        GateError: they differ, a clean pixel was touched, or the reference changes too little to test anything.
    """
    real = image.astype(np.float32) / np.float32(255)
    result = network.restorer(real, mask=mask)
    assert result.mask is not None
    if mask is not None and not np.array_equal(result.mask, mask):
        raise GateError(f"{network.preset}: the restorer used another mask than the one given; no times are reported")
    expected = _restore_in_torch(network.model, real, result.mask, own=mask is None)
    distorted = result.mask
    if distorted.any() and float(np.abs(expected - real)[distorted].max()) < LEAST_CHANGE:
        raise GateError(f"{network.preset}: the reference changes no pixel by {LEAST_CHANGE:g}: it tests nothing")
    worst = require_equal(f"adaptive {network.preset}", result.image, expected, clean=~distorted[..., None])
    _check_rounded(network, image, expected, mask)
    return worst


def _check_rounded(network: OpenedNetwork, image: np.ndarray, expected: np.ndarray, mask: np.ndarray | None) -> None:
    """Check the 8-bit call, which gets timed.

    It has to be within one step of the reference, and clean pixels identical.
    """
    result = network.restorer(image, mask=mask)
    assert result.mask is not None
    steps = np.abs(result.image - np.rint(expected * 255.0))
    if float(steps.max()) > 1.0 or not np.array_equal(result.image[~result.mask], image[~result.mask]):
        raise GateError(f"{network.preset}: the 8-bit picture is wrong; no times are reported")


def _restore_in_torch(model: SPAIR, real: np.ndarray, mask: np.ndarray, *, own: bool) -> np.ndarray:
    """Restore a picture under a mask with PyTorch.

    `real` is [H, W, 3] float32 and so is the result; the mask is [H, W] bool. `own` says that the mask is Net_L's,
    which is then checked against PyTorch's.
    """
    image, given = torch.from_numpy(to_network(real, 1)), torch.from_numpy(mask[None, None].astype(np.float32))
    with torch.inference_mode():
        if own:
            restored, wrong = restore_under(model, image, given)
            if wrong:
                raise GateError(f"{wrong} pixels of the mask differ from PyTorch's; no times are reported")
        else:
            restored = model(image, given).image
    return restored[0].permute(1, 2, 0).numpy()


def check_dense(network: OpenedNetwork, name: str, compute: Compute, image: np.ndarray) -> float:
    """Compare a dense contender with PyTorch.

    PyTorch restores under the mask that the contender found. Returns the largest error.

    Raises:
        GateError: the restored picture is wrong by more than `PEER_TOLERANCE`, or the mask is wrong.
    """
    real = image.astype(np.float32) / np.float32(255)
    outputs = compute({"image": to_network(real, 1)})
    restored, mask = outputs["restored"][0].transpose(1, 2, 0).copy(), outputs["mask"][0, 0] > 0.5
    expected = _restore_in_torch(network.model, real, mask, own=True)
    who = f"{name} {network.preset}"
    return require_equal(who, restored, expected, clean=~mask[..., None], tolerance=PEER_TOLERANCE)


def check_rounded(network: OpenedNetwork, name: str, compute: Compute, image: np.ndarray) -> float:
    """Compare a dense contender that rounds every value with PyTorch.

    PyTorch restores under the mask that the contender found, which is held to that of ONNX Runtime. Returns the mean
    error of distorted pixels.

    Raises:
        GateError: the restored picture or the mask is wrong by more than rounding.
    """
    real = image.astype(np.float32) / np.float32(255)
    outputs = compute({"image": to_network(real, 1)})
    restored, mask = outputs["restored"][0].transpose(1, 2, 0).copy(), outputs["mask"][0, 0] > 0.5
    own = network.graphs(image).mask
    flipped, expected = float(np.mean(mask != own)), _restore_in_torch(network.model, real, mask, own=False)
    error = float(np.abs(restored - expected)[mask].mean()) if mask.any() else 0.0
    if not (flipped <= ROUNDED_FLIPS and error <= ROUNDED_ERROR):
        raise GateError(
            f"{name} {network.preset} differs from PyTorch by {error:.1e} on average, allowed {ROUNDED_ERROR:g}, and "
            f"{flipped:.2%} of its mask differ, allowed {ROUNDED_FLIPS:.0%}; no times are reported"
        )
    return error


def check_maskless(network: OpenedNetwork, name: str, open_peer: OpenPeer) -> float:
    """Compare a contender without masks with full masks.

    The reference is the graph, whose own operators run under masks of 1. Returns the largest error.

    Raises:
        GateError: they differ.
    """
    small = make_picture(72, 104)
    workload = network.workload(small)
    filled = onnx.load(workload.graph)
    fill_masks(filled)
    with tempfile.TemporaryDirectory(prefix="spair-filled-") as folder:
        file = Path(folder) / "filled.onnx"
        onnx.save(filled, file)
        with OnnxGraph(file, threads=network.threads) as graph:
            expected = graph.run(workload.example)
    with open_peer(workload) as compute:
        got = compute(workload.example)
        require_equal(f"mask of {name} {network.preset}", got["mask"], expected["mask"])
        return require_equal(f"{name} {network.preset}", got["restored"], expected["restored"])
