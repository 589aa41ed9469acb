"""Reading and writing of checkpoints.

Checkpoints are written as safetensors files with the preset and the task in their metadata. The files that PyTorch and
its trainers save are read too.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..temporary.places import place_beside
from .errors import CheckpointError
from .files.bounds import require_plain
from .files.candidates import list_candidates
from .files.choosing import Choice, choose_weights
from .files.content import recognise
from .files.pickles import read_pickle
from .presets import PRESETS, TINY, Preset, find_preset
from .spair import SPAIR

SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint."""

    model: SPAIR
    """Network in eval mode, float32, on the CPU."""
    task: str
    """Task of the training: rain, raindrop, shadow or blur; "" if the file does not name it."""
    training: str
    """JSON text about the training; "" if the file has none."""
    choice: Choice
    """Place in the file where the weights were found."""


def save_checkpoint(model: SPAIR, path: str | os.PathLike[str], *, task: str, training: str = "") -> None:
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

    path = Path(path)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"cannot save {path.name}, expected a name that ends in .safetensors; rename it")
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    require_finite(state, path)
    metadata = {"format": "spair", "schema": str(SCHEMA), "preset": model.preset.to_json(), "task": task}
    payload = save(state, {**metadata, "training": training})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with place_beside(path) as temporary:
            temporary.write_bytes(payload)
            temporary.replace(path)
    except OSError as error:
        raise CheckpointError(f"cannot save {path}: {error.strerror}; give a folder that can be written") from error


def load_checkpoint(path: str | os.PathLike[str], *, preset: str | None = None, key: str | None = None) -> Checkpoint:
    """Load a SPAIR checkpoint.

    Args:
        path: a file that `save_checkpoint` wrote, or one of PyTorch and its trainers; see `read_state`.
        preset: name of the network size; needed only if the file does not name it and no preset fits its shapes.
        key: dotted name of the dictionary that holds the weights, as in "params_ema"; None to find them.

    Raises:
        CheckpointError: the file is missing, truncated, not a checkpoint, a pickled module, or from a newer version;
            its keys or shapes differ from the network's (the message names the first); or a weight is not finite.
    """
    path = Path(path)
    choice, metadata = read_state(path, _list_names(), key=key)
    state = choice.tensors
    _require_schema(path, metadata)
    chosen = _choose_preset(path, state, metadata, preset)
    integer = [name for name, value in state.items() if not value.is_floating_point()]
    if integer:
        raise CheckpointError(
            f"{path} holds {state[integer[0]].dtype} weights ({integer[0]}); give the float checkpoint"
        )
    with torch.device("meta"):  # sizes in the metadata may stand for more memory than there is
        require_fit(SPAIR(chosen), state, path)
    model = SPAIR(chosen)
    load_strictly(model, state, path)
    return Checkpoint(model.eval(), metadata.get("task", ""), metadata.get("training", ""), choice)


def read_state(path: Path, names: Collection[str], *, key: str | None = None) -> tuple[Choice, dict[str, str]]:
    """Read the weights and the metadata of a checkpoint.

    Nothing in the file is executed, and its content decides how it is read, not its suffix.

    Args:
        path: a safetensors file, or one that torch.save wrote.
        names: names of the weights of the network; `choose_weights` says how the weights are found by them.
        key: dotted name of the dictionary that holds the weights, as in "params_ema"; None to find them.

    Returns:
        The weights with the place where they were, and the file's metadata as text by key.

    Raises:
        CheckpointError: as in `load_checkpoint`.
    """
    content, metadata = _read_content(path)
    choice = choose_weights(content, names, path, key=key)
    require_finite(choice.tensors, path)
    return choice, metadata


def read_candidates(path: Path, *, key: str | None = None) -> Iterator[Choice]:
    """Yield the state dicts of a checkpoint.

    They are for a network that is not known yet. Their weights are not checked; see `require_finite`.

    Args:
        path: see `read_state`.
        key: dotted name of the dictionary to look into; None for all.

    Raises:
        CheckpointError: see `read_state`.
    """
    yield from list_candidates(_read_content(path)[0], path, key=key)


def is_spair(path: str | os.PathLike[str], *, key: str | None = None) -> bool:
    """Tell whether a checkpoint is one of SPAIR.

    It may be unsound. It is one if it names its preset, or if more than half of its weights are those of a preset.

    Args:
        path: see `read_state`.
        key: dotted name of the dictionary that holds the weights; None to find them.

    Raises:
        CheckpointError: see `read_state`.
    """
    choice, metadata = read_state(Path(path), _list_names(), key=key)
    return "preset" in metadata or _find_nearest(choice.tensors) is not None


def _list_names() -> Collection[str]:
    """Return names of weights that every preset has."""
    with torch.device("meta"):
        return SPAIR(TINY).state_dict().keys()


def _read_content(path: Path) -> tuple[Any, dict[str, str]]:
    return _read_safetensors(path) if recognise(path) == "safetensors" else (read_pickle(path), {})


def load_strictly(model: torch.nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load weights into a model, strictly.

    Args:
        model: the network to fill.
        state: weights by name, with exactly the names and shapes of the model.
        path: file that the weights come from, for messages.

    Raises:
        CheckpointError: names or shapes differ; the message names the first missing, unexpected and mis-shaped keys.
    """
    require_fit(model, state, path)
    model.load_state_dict(dict(state))


def require_fit(model: torch.nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Compare the names and shapes of weights with a model's.

    Args:
        model: the network; it may be on the meta device, where it takes no memory.
        state: weights by name.
        path: file that the weights come from, for messages.

    Raises:
        CheckpointError: see `load_strictly`.
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


def _describe(what: str, names: list[str]) -> list[str]:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return [f"{len(names)} {'key' if len(names) == 1 else 'keys'} {what} ({shown})"] if names else []


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except MemoryError:
        raise
    except Exception as error:  # types that this PyTorch lacks raise almost any kind
        raise CheckpointError(
            f"{path} is truncated or not a safetensors file ({error}); copy or download it again"
        ) from error


def _require_schema(path: Path, metadata: Mapping[str, str]) -> None:
    schema = metadata.get("schema", str(SCHEMA))
    if not schema.isdecimal() or len(schema) > 9:
        raise CheckpointError(
            f"{path} has checkpoint schema {schema[:20]!r}, expected a number up to {SCHEMA}; "
            "save it with spair.network.save_checkpoint"
        )
    if int(schema) > SCHEMA:
        raise CheckpointError(
            f"{path} has checkpoint schema {schema}, this version reads up to {SCHEMA}; upgrade spair-rt"
        )


def require_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that are not plain finite numbers.

    Args:
        state: weights by name.
        path: file that they come from, for messages.

    Raises:
        CheckpointError: a tensor is not plain, see `require_plain`, or has NaN or infinite values.
    """
    require_plain(state, path)
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
    nearest = _find_nearest(state)
    if nearest is not None:  # a strict comparison then names the few that differ
        return nearest
    named = ", ".join(list(state)[:3])
    raise CheckpointError(
        f"{path} is not a checkpoint of a SPAIR preset ({', '.join(PRESETS)}): its keys begin {named}; "
        "for another network, give its definition with --factory package.module:function"
    )


def _find_nearest(state: Mapping[str, Tensor]) -> Preset | None:
    """Return the preset that has most of the weights."""
    shapes = {key: value.shape for key, value in state.items()}
    agreement = {candidate.name: _count_equal(shapes, candidate) for candidate in PRESETS.values()}
    nearest = max(agreement, key=lambda name: agreement[name])
    return PRESETS[nearest] if 2 * agreement[nearest] > len(shapes) else None


def _count_equal(shapes: Mapping[str, torch.Size], preset: Preset) -> int:
    """Count the weights that a preset has alike."""
    with torch.device("meta"):
        expected = {key: value.shape for key, value in SPAIR(preset).state_dict().items()}
    return sum(shapes.get(key) == shape for key, shape in expected.items())
