"""What a run's file may say (`config_file` reads it); it is saved into the checkpoint."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PrivateAttr, model_validator

from ..network import PRESETS, Preset
from .data.datasets import LAYOUTS

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Distance = Literal["charbonnier", "l1", "mse"]


def _portable(path: Path) -> str:
    """As written; of an absolute path only the last two parts, since the rest tells about one machine."""
    return "/".join(path.parts[1:][-2:]) if path.is_absolute() else path.as_posix()


Folder = Annotated[Path, PlainSerializer(_portable, return_type=str, when_used="json")]


class Section(BaseModel):
    """A table of the file; unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PairFolders(Section):
    """Two folders of pictures paired by file stem; a third one holds true masks where they are known."""

    input: Folder
    target: Folder
    mask: Folder | None = None


class DataSet(Section):
    """A published data set in the layout in which it is distributed; see `training.layouts`."""

    layout: str
    root: Folder
    split: str | None = None

    @model_validator(mode="after")
    def _check_names(self) -> DataSet:
        if self.layout not in LAYOUTS:
            raise ValueError(f"unknown data set {self.layout!r}: choose one of {', '.join(LAYOUTS)}")
        if self.split is not None and self.split not in (splits := LAYOUTS[self.layout].splits):
            raise ValueError(f"{self.layout} has no split {self.split!r}: choose one of {', '.join(splits)}")
        return self


class MaskedPhotos(Section):
    """Degraded photographs with true masks but without a clean picture: only Net_L learns from them."""

    input: Folder
    mask: Folder


class Data(Section):
    """Where the pictures are; relative paths start at the configuration file."""

    pairs: tuple[PairFolders, ...] = ()
    """Degraded pictures with their clean ones."""
    sets: tuple[DataSet, ...] = ()
    """The same, of published data sets."""
    photos: tuple[Folder, ...] = ()
    """Folders of clean pictures, for simulated and transplanted degradations."""
    masked: tuple[MaskedPhotos, ...] = ()
    """Photographs for Net_L alone."""
    held_out: tuple[str, ...] = ()
    """File stems of pairs and masked photographs that are kept for validation and never trained on."""
    transplant: Share = 0.0
    """Share of samples that lay the degradation of a pair over a clean photo; rain only, which adds light."""
    simulate: Share = 0.0
    """Share of samples degraded by the task's simulator."""
    from_masked: Share = 0.0
    """Share of samples cut from the masked photographs, where Net_L learns; what no share claims are crops of pairs."""
    mask_threshold: Annotated[int, Field(ge=1, le=254)] = 8
    """A pixel of a pair without a mask file is distorted where a channel differs by more than this many of 255."""
    scales: Annotated[tuple[Annotated[int, Field(ge=1, le=16)], ...], Field(min_length=1)] = (1,)
    """Training pictures are used reduced by each of these whole factors (means of boxes): larger ones show a crop more
    of the scene. Copies that become smaller than a patch are left out."""
    enlarge: tuple[Annotated[float, Field(gt=1.0, le=4.0)], ...] = ()
    """The clean photos are used enlarged by each of these factors too (bicubic): the frames of a video show less detail
    per pixel than photographs that were made small."""
    _root: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _check_shares(self) -> Data:
        shares = {name: getattr(self, name) for name in ("transplant", "simulate", "from_masked")}
        if (total := sum(shares.values())) > 1.0 + 1e-9:  # 1e-9: shares are decimal fractions
            given = ", ".join(f"{name} = {value}" for name, value in shares.items())
            raise ValueError(f"{given} are shares of one whole, their sum must be at most 1")
        pairs, rest = bool(self.pairs or self.sets), total < 1.0 - 1e-9
        if not pairs and (rest or self.transplant):
            raise ValueError(
                "pairs and sets are empty, so simulate and from_masked have to add up to 1 and transplant to 0; "
                "add pairs or change the shares"
            )
        if self.simulate and not (self.photos or pairs):
            raise ValueError("simulate needs clean pictures: add photos or pairs, or set simulate = 0")
        if self.enlarge and not self.photos:
            raise ValueError("enlarge is for clean photos, and there are none: add photos, or remove enlarge")
        if self.from_masked and not self.masked:
            raise ValueError("from_masked needs photographs with masks: add data.masked, or set from_masked = 0")
        return self

    def without_masked(self) -> Data:
        """The shares that Net_R learns from: that of the masked photographs goes to the others."""
        rest = 1.0 - self.from_masked
        return self.model_copy(
            update={"from_masked": 0.0, "simulate": self.simulate / rest, "transplant": self.transplant / rest}
        )

    def locate(self) -> Data:
        """The same data with absolute paths. The paths as written are what is saved: they hold on any machine."""
        root = self._root.absolute()

        def moved(sections: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(
                section.model_copy(update={k: root / v for k, v in section if isinstance(v, Path)})
                for section in sections
            )

        return self.model_copy(
            update={
                "pairs": moved(self.pairs),
                "sets": moved(self.sets),
                "masked": moved(self.masked),
                "photos": tuple(root / folder for folder in self.photos),
            }
        )


class Stage(Section):
    """A part of the run with a learning rate of its own: linear warm-up, then a cosine down to a hundredth.

    It starts from the averaged weights of the stage before.
    """

    train: Literal["net_l", "net_r", "both"]
    """What learns: the localization, the restoration with Net_L frozen, or both together."""
    steps: Annotated[int, Field(gt=0)]
    """Optimizer steps."""
    batch: Annotated[int, Field(gt=0)] = 8
    """Samples of a step, over all devices."""
    patch: Annotated[int, Field(ge=16, multiple_of=8)] = 64
    """Side of the square crops, in pixels."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Peak, reached after the warm-up."""
    warm_up: Annotated[int, Field(ge=0)] = 100
    """Steps."""
    mask_weight: Annotated[float, Field(ge=0)] | None = None
    """Instead of loss.mask_weight."""
    image: Distance | None = None
    """Instead of loss.image."""
    true_masks: Share = 0.5
    """Share of the steps that restore under the union of the found and the true mask, where Net_R learns the pixels
    that Net_L does not find yet. The others restore under the found mask, as in use: with more of those Net_R trusts
    the mask less, and leaves alone more of what is marked wrongly."""
    stray_masks: Share = 0.0
    """Share of the steps in which the mask found in another sample of the batch joins a sample's own: pixels marked
    wrongly, which training pictures seldom have and others do. Net_R learns to leave them alone. Each process looks
    among its own samples, of which it needs two: on several devices the steps are not those of one."""


class Schedule(Section):
    """What all stages share."""

    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest gradient norm."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the averaged weights, which are what is validated and saved."""
    epoch: Annotated[int, Field(gt=0)] = 250
    """Steps between checkpoints; an interrupted run resumes at the last one."""
    validate_every: Annotated[int, Field(gt=0)] = 4
    """Epochs between validations, after each of which the weights are saved; a stage always ends with one."""


class Loss(Section):
    """loss = picture loss + mask_weight * (cross entropy + iou_weight * (1 - soft IoU)) of Net_L's mask."""

    image: Distance = "charbonnier"
    """Distance of the restored picture from the clean one."""
    equalize: Share = 0.0
    """How far easy and hard samples count alike: a sample's gradient is divided by its distance to this power.

    0 is the plain mean. 1 is the mean of the logarithms; with "mse" that is the PSNR.
    """
    ssim_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of 1 - SSIM."""
    edge_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the Charbonnier distance of the Laplacians."""
    mask_weight: Annotated[float, Field(ge=0)] = 0.05
    """Weight of the mask's loss where both networks learn. Gradients count, not values: with equalize = 1 those of the
    pictures are larger by the inverse of their distance, and with a weight of 0.1 the mask was forgotten."""
    iou_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the soft IoU, which wants the right area, beside the cross entropy."""
    class_balance: Share = 0.5
    """Distorted pixels of a sample weigh (clean / distorted) to this power, between 1/10 and 10; 0 is no balance."""


class Hardware(Section):
    """How the arithmetic is done; `spair train` says on how many devices."""

    precision: Literal["auto", "32-true", "16-mixed", "bf16-mixed"] = "auto"
    """auto: mixed bfloat16 (float16 where the GPU lacks it) on a GPU, and on a CPU with matrix tiles (Intel's AMX);
    float32 on other CPUs."""
    channels_last: bool | None = None
    """Memory format; by default on a GPU and in mixed precision: in float32 on CPUs the weights' gradients took twice
    as long."""
    packed_below: Share = 0.55
    """On a CPU, samples less distorted than this are restored on their distorted pixels alone; 0 is never.

    The sums are the same, in another order; there the cost of a step follows the distortion (benchmarks/training.py).
    """
    memory_gb: Annotated[float, Field(ge=0)] = 8.0
    """Decoded pictures of each process that are kept in memory; the others are kept in the temporary folder."""
    workers: Annotated[int, Field(ge=0)] = 1
    """Processes per device that make the samples."""
    compile: bool = False
    """On a GPU: fuse the operations of a step and replay it as a CUDA graph (torch.compile), after a minute of
    compiling. Small networks spend most of a step on launching its kernels otherwise."""


class Log(Section):
    """What is written beside the weights."""

    to: tuple[Literal["csv", "tensorboard"], ...] = ("csv",)
    every: Annotated[int, Field(gt=0)] = 50
    """Steps between entries."""
    pictures: Annotated[int, Field(ge=0)] = 4
    """Held-out pictures that each validation draws: before, restored, clean, masks."""


class TrainingConfig(Section):
    """A whole run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$")]
    task: Literal["rain", "raindrop", "shadow", "blur"]
    preset: Literal[tuple(PRESETS)]  # type: ignore[valid-type]
    seed: Annotated[int, Field(ge=0)] = 0
    start: Folder | None = None
    """Checkpoint whose weights the first stage begins with, of the same preset and any task; by default random ones."""
    data: Data
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    schedule: Schedule = Schedule()
    loss: Loss = Loss()
    hardware: Hardware = Hardware()
    log: Log = Log()
    mask_probability: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Instead of the preset's `mask_threshold`: a pixel is distorted where Net_L's probability exceeds it. Higher marks
    less. `NAME.safetensors` keeps it. A start with another threshold than the preset's wants it said."""

    def find_preset(self) -> Preset:
        """The network's size, with this run's `mask_probability`."""
        preset = PRESETS[self.preset]
        chosen = self.mask_probability
        return preset if chosen is None else dataclasses.replace(preset, mask_threshold=chosen)

    @model_validator(mode="after")
    def _check_transplant(self) -> TrainingConfig:
        if self.data.transplant and self.task != "rain":
            raise ValueError(
                f"data.transplant = {self.data.transplant} adds the difference of a pair to another photograph, which "
                f"only rain allows, not {self.task}; use data.simulate"
            )
        return self

    @model_validator(mode="after")
    def _check_masked(self) -> TrainingConfig:
        if self.data.from_masked == 1.0 and any(stage.train != "net_l" for stage in self.stages):
            raise ValueError(
                "data.from_masked = 1 leaves Net_R nothing to learn from, but a stage trains it; "
                'lower data.from_masked, or let all stages train "net_l"'
            )
        return self

    def locate_start(self) -> Path | None:
        """`start` as an absolute path."""
        return None if self.start is None else self.data._root.absolute() / self.start

    def samples_before(self, stage: int) -> int:
        """How many samples the stages before this one consume."""
        return sum(part.steps * part.batch for part in self.stages[:stage])

    def steps_before(self, stage: int) -> int:
        """How many optimizer steps the stages before this one take."""
        return sum(part.steps for part in self.stages[:stage])
