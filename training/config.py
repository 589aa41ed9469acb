"""One TOML file describes a training run; it is validated before anything starts and saved into the checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PrivateAttr, ValidationError, model_validator

from ..network import PRESETS
from ..runtime.errors import UserError

Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _portable(path: Path) -> str:
    """As written; of an absolute path only the last two parts, since the rest tells about one machine."""
    return "/".join(path.parts[1:][-2:]) if path.is_absolute() else path.as_posix()


Folder = Annotated[Path, PlainSerializer(_portable, return_type=str, when_used="json")]


class Section(BaseModel):
    """A table of the file; unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PairFolders(Section):
    """Two folders of pictures paired by file stem."""

    input: Folder
    target: Folder


class Data(Section):
    """Where the pictures are; relative paths start at the configuration file."""

    pairs: tuple[PairFolders, ...] = ()
    """Degraded pictures with their clean ones."""
    photos: tuple[Folder, ...] = ()
    """Folders of clean pictures, for simulated and transplanted degradations."""
    held_out: tuple[str, ...] = ()
    """File stems of the pairs that are kept for validation and never trained on."""
    transplant: Share = 0.5
    """Share of samples that lay the degradation of a pair over a clean photo."""
    simulate: Share = 0.2
    """Share of samples degraded by the simulator; the rest are crops of the pairs."""
    _root: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _check_shares(self) -> Data:
        if self.transplant + self.simulate > 1.0 + 1e-9:  # 1e-9: shares are decimal fractions
            raise ValueError(
                f"transplant = {self.transplant} and simulate = {self.simulate} are shares of one whole, "
                "their sum must be at most 1"
            )
        return self

    def locate(self) -> Data:
        """The same data with absolute paths. The paths as written are what is saved: they hold on any machine."""
        root = self._root.absolute()
        pairs = tuple(PairFolders(input=root / pair.input, target=root / pair.target) for pair in self.pairs)
        return self.model_copy(update={"pairs": pairs, "photos": tuple(root / folder for folder in self.photos)})


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
    """Epochs between validations, after each of which the weights are saved; the last epoch always ends with one."""


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
    """Read and check a run's configuration; its paths stay as written, `Data.locate` makes them absolute.

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
        raise UserError(f"{path}: {_describe(error)}; correct it") from error
    if not config.data.pairs and not config.data.photos:
        raise UserError(f"{path} names neither data.pairs nor data.photos; give at least one folder of pictures")
    config.data._root = path.resolve().parent
    return config


def _describe(error: ValidationError) -> str:
    first: dict[str, Any] = dict(error.errors()[0])
    where = ".".join(str(part) for part in first["loc"])
    given = "" if isinstance(first["input"], dict) else f", got {first['input']!r}"  # a whole table says nothing
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {first['msg'].removeprefix('Value error, ')}{given}{more}"
