"""Reading and writing of checkpoints.

Checkpoints are written as safetensors files with the preset and the task in their metadata. The files that PyTorch and
its trainers save are read too.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import tempfile
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor

from .errors import CheckpointError
from .presets import PRESETS, TINY, Preset, find_preset
from .spair import SPAIR

SCHEMA = 1
SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt")
"""Suffixes of the files that can be read."""
CONTAINERS = (
    "ema_state_dict",
    "state_dict_ema",
    "params_ema",
    "averaged_state_dict",
    "state_dict",
    "model",
    "params",
)
"""Keys under which trainers keep a state dict; averaged weights come first, because they are the ones to deploy."""
PREFIXES = ("module.", "model.", "network.", "_orig_mod.")
"""Prefixes that wrappers put before the names of weights."""
AVERAGE_COUNT = "n_averaged"
"""Name of the counter that torch.optim.swa_utils.AveragedModel adds to the weights."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint."""

    model: SPAIR
    """Network in eval mode, float32, on the CPU."""
    task: str
    """Task of the training: rain, raindrop, shadow or blur; "" if the file does not name it."""
    training: str
    """JSON text about the training; "" if the file has none."""


def save_checkpoint(model: SPAIR, path: Path, *, task: str, training: str = "") -> None:
    """Write weights, preset and task to a safetensors file.

    A failure leaves an existing file unchanged.

    Args:
        model: the network; its weights are written as they are, on the CPU.
        path: file to write, ending in .safetensors; its folder is made where it is missing.
        task: rain, raindrop, shadow or blur.
        training: JSON text about the training.

    Raises:
        CheckpointError: a weight is not finite, the suffix is not .safetensors, or the folder cannot be written.
    """
    from safetensors.torch import save

    if path.suffix != ".safetensors":
        raise CheckpointError(f"cannot save {path.name}, expected a name that ends in .safetensors; rename it")
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    _require_finite(state, path)
    metadata = {"format": "spair", "schema": str(SCHEMA), "preset": model.preset.to_json(), "task": task}
    payload = save(state, {**metadata, "training": training})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The toolkit's atomic writer is in `runtime.files`; this package imports nothing of the toolkit.
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise CheckpointError(f"cannot save {path}: {error.strerror}; give a folder that can be written") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_checkpoint(path: Path, *, preset: str | None = None) -> Checkpoint:
    """Load a SPAIR checkpoint.

    Args:
        path: a .safetensors file that `save_checkpoint` wrote, or a .pt, .pth or .ckpt file with a state dict. The
            state dict may lie under one of CONTAINERS, as Lightning saves it, and its names may have PREFIXES.
        preset: name of the network size; needed only if the file does not name it and no preset fits its shapes.

    Raises:
        CheckpointError: the file is missing, truncated, not a checkpoint, a pickled module, or from a newer version;
            its keys or shapes differ from the network's (the message names the first); or a weight is not finite.
    """
    with torch.device("meta"):
        names = SPAIR(TINY).state_dict().keys()  # every preset has these names; larger ones have more
    state, metadata = read_state(path, names)
    _require_schema(path, metadata)
    chosen = _choose_preset(path, state, metadata, preset)
    integer = [name for name, value in state.items() if not value.is_floating_point()]
    if integer:
        raise CheckpointError(
            f"{path} holds {state[integer[0]].dtype} weights ({integer[0]}); give the float checkpoint"
        )
    model = SPAIR(chosen)
    load_strictly(model, state, path)
    return Checkpoint(model.eval(), metadata.get("task", ""), metadata.get("training", ""))


def read_state(path: Path, names: Collection[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the metadata of a checkpoint.

    Nothing in the file is executed.

    Args:
        path: a file with one of SUFFIXES.
        names: names of the weights of the network. PREFIXES are removed as long as more tensors then have one of
            these names, so a network whose own names begin like a prefix keeps them.

    Returns:
        The tensors by name, and the file's metadata as text by key.

    Raises:
        CheckpointError: as in `load_checkpoint`.
    """
    if not path.is_file():
        raise CheckpointError(
            f"the checkpoint {path} does not exist or is not a file; give a {', '.join(SUFFIXES)} file"
        )
    if path.suffix not in SUFFIXES:
        raise CheckpointError(f"the checkpoint {path} ends in {path.suffix!r}, expected one of {', '.join(SUFFIXES)}")
    state, metadata = _read_safetensors(path) if path.suffix == ".safetensors" else (_read_torch(path), {})
    _require_finite(state, path)
    return _unwrap(state, names), metadata


def load_strictly(model: torch.nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load weights into a model, strictly.

    Args:
        model: the network to fill.
        state: weights by name, with exactly the names and shapes of the model.
        path: file that the weights come from, for messages.

    Raises:
        CheckpointError: names or shapes differ; the message names the first missing, unexpected and mis-shaped keys.
    """
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in state.items()}
    problems = [
        *_describe("missing", [name for name in expected if name not in given]),
        *_describe("unexpected", [name for name in given if name not in expected]),
        *_describe(
            "of another shape",
            [f"{n} {given[n]} instead of {expected[n]}" for n in expected if n in given and given[n] != expected[n]],
        ),
    ]
    if problems:
        raise CheckpointError(
            f"{path} does not fit {type(model).__name__}: {'; '.join(problems)}; "
            "give the network definition (--factory) or preset that it was trained with"
        )
    model.load_state_dict(dict(state))


def _describe(what: str, names: list[str]) -> list[str]:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return [f"{len(names)} keys {what} ({shown})"] if names else []


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is truncated or not a safetensors file ({error}); copy or download it again"
        ) from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of unusual pickles; the checks below refuse unusable ones
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a plain state dict (it holds a pickled module, or is not a PyTorch file) and is not "
            "executed; save model.state_dict() instead"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise CheckpointError(f"{path} is truncated or not a PyTorch checkpoint; copy or download it again") from error
    if isinstance(content, Mapping):
        for name in CONTAINERS:
            if isinstance(content.get(name), Mapping):
                content = content[name]
                break
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise CheckpointError(
            f"{path} does not hold a state dict of tensors; save model.state_dict() or a trainer's checkpoint"
        )
    return dict(content)


def _unwrap(state: dict[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    if AVERAGE_COUNT not in names:
        state = {name: value for name, value in state.items() if name != AVERAGE_COUNT}
    candidates = [state]
    # Wrappers nest, as in model.module.first.weight.
    while state and (found := [prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in state)]):
        state = {name.removeprefix(found[0]): value for name, value in state.items()}
        candidates.append(state)
    # Of equally good candidates, max keeps the first, which has lost the fewest prefixes.
    return max(candidates, key=lambda candidate: len(candidate.keys() & set(names)))


def _require_schema(path: Path, metadata: Mapping[str, str]) -> None:
    schema = metadata.get("schema", str(SCHEMA))
    if not schema.isdecimal():
        raise CheckpointError(
            f"{path} has checkpoint schema {schema!r}, expected a number up to {SCHEMA}; "
            "save it with spair.network.save_checkpoint"
        )
    if int(schema) > SCHEMA:
        raise CheckpointError(
            f"{path} has checkpoint schema {schema}, this version reads up to {SCHEMA}; upgrade spair-rt"
        )


def _require_finite(state: Mapping[str, Tensor], path: Path) -> None:
    bad = [name for name, value in state.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if bad:
        raise CheckpointError(
            f"{path} has NaN or infinite values in {len(bad)} tensors (first: {bad[0]}); use an earlier checkpoint"
        )


def _choose_preset(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str], name: str | None) -> Preset:
    if name is not None:
        return find_preset(name)
    if "preset" in metadata:
        try:
            return Preset.from_json(metadata["preset"])
        except CheckpointError as error:
            raise CheckpointError(f"{path} cannot be loaded: {error}") from error
    shapes = {key: value.shape for key, value in state.items()}
    for candidate in PRESETS.values():
        with torch.device("meta"):
            expected = {key: value.shape for key, value in SPAIR(candidate).state_dict().items()}
        if shapes == expected:
            return candidate
    named = ", ".join(list(shapes)[:3])
    raise CheckpointError(
        f"{path} is not a checkpoint of a SPAIR preset ({', '.join(PRESETS)}): its keys begin {named}; "
        "for another network, give its definition with --factory package.module:function"
    )
