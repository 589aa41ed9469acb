"""What a run's file may say (`config_file` reads it); it is saved into the checkpoint."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..network import PRESETS, Preset
from .data.config import Data, Folder, Section, Share

Distance = Literal["charbonnier", "l1", "mse"]


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
