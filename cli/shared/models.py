"""Opening of models, which are bundles or checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .names import find_bundle, find_checkpoint
from .output import tell

if TYPE_CHECKING:
    from ...runtime import Restorer
    from ...runtime.tiling.planning import PathChoice

CHECKPOINT_SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt")
"""Suffixes of checkpoints in lower case, repeated from `spair.network`, which would load torch."""


@dataclass(frozen=True)
class Execution:
    """Setting in which a model is run."""

    precision: str = "fp32"
    backend: str = "auto"
    threads: int | None = None
    """Number of CPU threads; None for all cores."""
    tile: int | None = None
    """Largest side in pixels of the pieces a picture is cut into; None for the restorer's own choice."""
    tile_path: PathChoice = "auto"
    """Computation of tiles with distortion: "dense" on every pixel, "packed", or "auto" for the cheaper one."""
    trust_code: bool = False
    """Whether plugins and engines run though nobody has trusted them."""
    expect_digest: tuple[str, ...] = ()
    """Digests of which the model must have one; empty where any will do."""
    threshold: float | str | None = None
    """Threshold of the mask, see `Restorer.open`; None for the model's own."""
    flips: int = 1
    """Number of mirrored pictures to average, see `Restorer.open`."""


def choose_path(force_dense: bool, force_packed: bool) -> PathChoice:
    """Translate --force-dense and --force-packed.

    Raises:
        UserError: both are given.
    """
    from ...runtime import UserError

    if force_dense and force_packed:
        raise UserError("--force-dense and --force-packed exclude each other; give one of them or neither")
    return "dense" if force_dense else "packed" if force_packed else "auto"


def read_expected(digests: list[str] | None) -> tuple[str, ...]:
    """Read the digests of --expect-digest.

    Raises:
        UserError: one is no digest.
    """
    from ...runtime.bundle.checks.digest import read_digests

    return read_digests(digests or ())


def read_flips(count: int) -> int:
    """Check the number of --flips.

    Raises:
        UserError: it is none that can be averaged.
    """
    from ...runtime.flips import check_flips

    return check_flips(count)


def read_threshold(text: str | None) -> float | str | None:
    """Read the threshold of --threshold, a number or a name.

    Raises:
        UserError: it is neither.
    """
    from ...runtime.bounds.thresholds import check_threshold

    if text is None:
        return None
    try:
        wanted: float | str = float(text)
    except ValueError:
        wanted = text
    return check_threshold(wanted)


def check_checkpoint(path: Path, expected: tuple[str, ...]) -> None:
    """Refuse a checkpoint with another digest than expected.

    What is no file is left to its reader.

    Raises:
        UserError: the file has another digest.
    """
    from ...runtime.bundle.checks.digest import check_file_digest

    if path.is_file():
        check_file_digest(path, expected)


def is_checkpoint(model: Path) -> bool:
    """Tell whether a path names a checkpoint.

    A checkpoint is a file, but no .onnx file, or an absent path with a checkpoint's suffix.
    """
    from ...runtime.served.network import is_served

    if model.is_dir() or is_served(model):
        return False
    return model.exists() or model.suffix.lower() in CHECKPOINT_SUFFIXES


def open_model(model: Path, execution: Execution, *, factory: str | None = None, multiple: int = 1) -> Restorer:
    """Open a model, and print its warnings; see `_open`."""
    restorer = _open(model, execution, factory, multiple)
    for warning in restorer.warnings:
        tell(f"warning: {warning}")
    return restorer


def list_causes(restorer: Restorer, execution: Execution) -> dict[str, Any]:
    """List what decides results besides the picture."""
    causes: dict[str, Any] = {
        "digest": restorer.facts.get("digest", ""),
        "precision": execution.precision,
        "backend": restorer.backend,
        "tile": execution.tile,
        "path": execution.tile_path,
    }
    # Only where they are not the model's own: results of versions that knew no others stay valid.
    if restorer.chosen_threshold is not None:
        causes["threshold"] = restorer.chosen_threshold
    return causes if restorer.flips == 1 else {**causes, "flips": restorer.flips}


def _open(model: Path, execution: Execution, factory: str | None, multiple: int) -> Restorer:
    """Open a bundle, served graph or checkpoint.

    A checkpoint runs on torch, the others on their backends.

    The caller closes the restorer.

    Args:
        model: a bundle's folder, a served graph's file, a checkpoint file, or the name of shipped weights, which run
            as a bundle, or as a checkpoint on torch.
        execution: setting to run it in.
        factory: "package.module:function" that builds the network of a foreign checkpoint.
        multiple: number of pixels that height and width must be multiples of in that network.

    Raises:
        UserError, CheckpointError: the model cannot be used, or not in this setting.
    """
    from ...runtime import Restorer, UserError
    from ...runtime.files import sha256
    from ...runtime.served.network import is_served

    wants_torch = execution.backend == "torch" and factory is None
    model = find_checkpoint(model) if wants_torch else find_bundle(model)
    if is_checkpoint(model):
        restorer = _open_checkpoint(model, execution, factory, multiple)
        restorer.facts = {"precision": execution.precision, "digest": sha256(model)}
        return restorer
    kind = "a served graph" if is_served(model) else "a bundle"
    if factory is not None:
        raise UserError(f"--factory is for checkpoints, but {model} is {kind}; leave it out or give the checkpoint")
    if execution.backend == "torch":
        raise UserError(f"{model} is {kind}, which does not run on torch; give its checkpoint, or another --backend")
    return Restorer.open(
        model,
        backend=execution.backend,
        precision=execution.precision,
        threads=execution.threads,
        tile=execution.tile,
        tile_path=execution.tile_path,
        trust_code=execution.trust_code,
        expect_digest=execution.expect_digest,
        threshold=execution.threshold,
        flips=execution.flips,
    )


def _open_checkpoint(path: Path, execution: Execution, factory: str | None, multiple: int) -> Restorer:
    from ...runtime import Restorer, UserError
    from ...runtime.errors import quote

    if execution.backend not in ("auto", "torch"):
        raise UserError(
            f"{path} is a checkpoint, which runs on torch, not on {execution.backend}; export it first: "
            f"spair export {quote(path)} --out NAME.spair"
        )
    if execution.tile_path == "packed":
        raise UserError(f"{path} is a checkpoint, which runs dense; --force-packed needs a bundle: export it first")
    if execution.precision != "fp32":
        raise UserError(f"{path} is a checkpoint, which runs in fp32, not in {execution.precision}; export it first")
    check_checkpoint(path, execution.expect_digest)
    import torch

    from ...export.eager import TorchTwoStage, TorchWhole

    if execution.threads:
        torch.set_num_threads(execution.threads)
    setting: dict[str, Any] = {"tile": execution.tile, "threshold": execution.threshold, "flips": execution.flips}
    if factory is None:
        from ...network import load_checkpoint

        return Restorer(TorchTwoStage(load_checkpoint(path).model), backend="torch", **setting)
    from ...export.foreign import ForeignInterface, adapt, load_foreign, measure_reach

    interface = ForeignInterface(outputs=("picture",), multiple=multiple)  # of several pictures, the first
    adaptation = adapt(load_foreign(factory, path), interface)
    reach = measure_reach(adaptation)
    network = TorchWhole(
        adaptation.module,
        multiple,
        reach.halo,
        align=reach.align * multiple,
        reach="whole" if reach.whole else "local",
        tile_error=reach.error,
        scale=adaptation.scale,
    )
    return Restorer(network, backend="torch", **setting)
