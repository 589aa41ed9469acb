"""One TOML file describes a training run; it is validated before anything starts and saved into the checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..network import PRESETS
from ..runtime.errors import UserError

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    """A table of the file; unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PairFolders(Section):
    """Two folders of pictures paired by file stem."""

    input: Path
    target: Path


class Data(Section):
    """Where the pictures are; relative paths start at the configuration file."""

    pairs: tuple[PairFolders, ...] = ()
    """Degraded pictures with their clean ones."""
    photos: tuple[Path, ...] = ()
    """Folders of clean pictures, for simulated and transplanted degradations."""
    held_out: tuple[str, ...] = ()
    """File stems of the pairs that are kept for validation and never trained on."""
    transplant: Share = 0.5
    """Share of samples that lay the degradation of a pair over a clean photo."""
    simulate: Share = 0.2
    """Share of samples degraded by the simulator; the rest are crops of the pairs."""


class Schedule(Section):
    """How long, how fast."""

    steps: Annotated[int, Field(gt=0)]
    """Optimizer steps of the whole run."""
    batch: Annotated[int, Field(gt=0)] = 8
    patch: Annotated[int, Field(ge=16, multiple_of=8)] = 64
    """Side of the square crops, in pixels."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Peak, reached after the warm-up; a cosine takes it to a hundredth of it."""
    warm_up: Annotated[int, Field(ge=0)] = 300
    """Steps of linear warm-up."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest gradient norm."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the averaged weights, which are what is validated and saved."""
    epoch: Annotated[int, Field(gt=0)] = 250
    """Steps between checkpoints; an interrupted run resumes at the last one."""
    validate_every: Annotated[int, Field(gt=0)] = 4
    """Epochs between validations."""


class Loss(Section):
    """loss = Charbonnier(restored, clean) + mask_weight * cross entropy(Net_L, true mask)."""

    mask_weight: Annotated[float, Field(ge=0)] = 0.05
    mask_threshold: Annotated[int, Field(ge=1, le=254)] = 8
    """A pixel is truly distorted where some channel of |degraded - clean| exceeds this many of 255 steps."""


class TrainingConfig(Section):
    """A whole run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    task: Literal["rain"]
    preset: Literal[tuple(PRESETS)]  # type: ignore[valid-type]
    seed: int = 0
    data: Data
    schedule: Schedule
    loss: Loss = Loss()


def load_config(path: Path) -> TrainingConfig:
    """Read and check a run's configuration; its relative paths become absolute.

    Raises:
        UserError: the file is missing, no TOML, or has unknown, missing or out-of-range entries (the first is named).
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if not path.is_file():
        raise UserError(f"training configuration {path} does not exist; see training/configs for examples")
    try:
        content = tomllib.loads(path.read_text())
        config = TrainingConfig.model_validate(content)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}; correct that line") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise UserError(f"{path}: {where}: {first['msg']}, got {first['input']!r}{more}; correct it") from error
    if not config.data.pairs and not config.data.photos:
        raise UserError(f"{path} names neither data.pairs nor data.photos; give at least one folder of pictures")
    return config.model_copy(update={"data": _absolute(config.data, path.resolve().parent)})


def _absolute(data: Data, root: Path) -> Data:
    pairs = tuple(PairFolders(input=root / pair.input, target=root / pair.target) for pair in data.pairs)
    return data.model_copy(update={"pairs": pairs, "photos": tuple(root / folder for folder in data.photos)})
