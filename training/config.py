"""Options of a training run, as a file gives them.

`config_file` reads the file. The options are saved in the checkpoint.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..network import PRESETS, Preset
from .data.config import Data, Folder, Section, Share
from .simulators import SIMULATORS, Simulator
from .simulators.rain import simulate_rain

Distance = Literal["charbonnier", "l1", "mse"]
Probability = Annotated[float, Field(gt=0.0, lt=1.0)]


class Stage(Section):
    """Part of a run with its own learning rate.

    The rate rises linearly in the warm-up, then falls as a cosine to a hundredth. A stage starts from the averaged
    weights of the stage before.
    """

    train: Literal["net_l", "net_r", "both"]
    """Networks that learn: the localization, the restoration with Net_L frozen, or both together."""
    steps: Annotated[int, Field(gt=0)]
    """Optimizer steps."""
    batch: Annotated[int, Field(gt=0, le=65536)] = 8
    """Samples of a step, over all devices."""
    patch: Annotated[int, Field(ge=16, le=4096, multiple_of=8)] = 64
    """Side of the square crops in pixels."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Peak rate, reached after the warm-up."""
    warm_up: Annotated[int, Field(ge=0)] = 100
    """Steps until the peak rate."""
    mask_weight: Annotated[float, Field(ge=0)] | None = None
    """Weight used instead of `loss.mask_weight`."""
    image: Distance | None = None
    """Distance used instead of `loss.image`."""
    true_masks: Share = 0.5
    """Share of the steps that restore under the union of the found and the true mask.

    In these steps Net_R learns the pixels that Net_L does not find yet. The other steps restore under the found mask,
    as in use. With more of the other steps Net_R trusts the mask less, and leaves alone more of the wrongly marked
    pixels."""
    stray_masks: Share = 0.0
    """Share of the steps in which the found mask of another sample of the batch joins a sample's own mask.

    Such pixels are marked wrongly, which training pictures seldom show and other pictures do. Net_R learns to leave
    them alone. Each process takes masks of its own samples and needs two, so several devices do not take the steps
    of one."""
    thresholds: tuple[Probability, Probability] | None = None
    """Range in which each sample's threshold of the found mask lies, instead of `mask_probability` for all.

    The thresholds are spread evenly over the range in logits, from sample to sample. Net_R then learns the masks of
    every setting of the dial, not of one."""

    @model_validator(mode="after")
    def _check_thresholds(self) -> Stage:
        if self.thresholds is not None and self.thresholds[0] > self.thresholds[1]:
            raise ValueError(f"thresholds = {list(self.thresholds)} begins with its larger end; swap the two")
        return self


class Schedule(Section):
    """Options that all stages share."""

    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest gradient norm."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the averaged weights, which are validated and saved."""
    epoch: Annotated[int, Field(gt=0)] = 250
    """Steps between two saved states; an interrupted run goes on from the last one."""
    validate_every: Annotated[int, Field(gt=0)] = 4
    """Epochs between two validations.

    The weights are saved after each validation, and a stage always ends with one."""


class Loss(Section):
    """Parts of the loss and their weights.

    loss = picture loss + mask_weight * (cross entropy + iou_weight * (1 - soft IoU)) of Net_L's mask.
    """

    image: Distance = "charbonnier"
    """Distance of the restored picture from the clean one."""
    equalize: Share = 0.0
    """Power of a sample's distance by which its gradient is divided, so that easy and hard samples count alike.

    0 is the plain mean. 1 is the mean of the logarithms; with "mse" this is the PSNR."""
    ssim_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of 1 - SSIM."""
    edge_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the Charbonnier distance of the Laplacians."""
    mask_weight: Annotated[float, Field(ge=0)] = 0.05
    """Weight of the mask's loss in stages that train both networks.

    Gradients count here, not values. With `equalize = 1` the gradients of the pictures are larger by the inverse of
    their distance, and with a weight of 0.1 the mask was forgotten."""
    iou_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the soft IoU beside the cross entropy; it rewards a mask of the right area."""
    class_balance: Share = 0.5
    """Power of (clean / distorted), the pixel counts of a sample, by which its distorted pixels are weighted.

    The weight is kept between 1/10 and 10. 0 is no balance."""
    mask_ramp: Annotated[float, Field(gt=0, le=255)] | None = None
    """Difference, in 255ths, at which the target of the cross entropy reaches 1; below it the target is their ratio.

    The difference is that of the channel that differs most. Net_L then learns how large a difference it has to expect.
    What Net_R can repair is the square of that, so the threshold takes in the pixels that gain most first. By default
    the target is the true mask, and it stays so where the clean picture is not known. `class_balance` and
    `iou_weight` move the expectation; set them to 0."""


class Hardware(Section):
    """Options of the arithmetic.

    The options of `spair train` give the number of devices.
    """

    precision: Literal["auto", "32-true", "16-mixed", "bf16-mixed"] = "auto"
    """Number format of the arithmetic.

    "auto" is mixed bfloat16 (float16 where the GPU lacks it) on a GPU and on a CPU with matrix tiles (Intel's AMX),
    and float32 on other CPUs."""
    channels_last: bool | None = None
    """Whether memory is laid out with the channels last.

    By default it is on a GPU and in mixed precision. In float32 on CPUs the weights' gradients took twice as long."""
    packed_below: Share = 0.55
    """Share of distorted pixels below which a CPU restores the distorted pixels of a sample alone; 0 means never.

    The sums are the same in another order, and the cost of a step follows the distortion (benchmarks/training.py)."""
    memory_gb: Annotated[float, Field(ge=0)] = 8.0
    """Gigabytes of decoded pictures that each process keeps in memory; the others go to the temporary folder."""
    workers: Annotated[int, Field(ge=0, le=256)] = 1
    """Processes per device that make the samples."""
    compile: bool = False
    """Whether a GPU fuses the operations of a step and replays them as a CUDA graph (torch.compile).

    Compiling takes a minute. Small networks spend most of a step on launching their kernels without it."""


class Log(Section):
    """Files that are written beside the weights."""

    to: tuple[Literal["csv", "tensorboard"], ...] = ("csv",)
    every: Annotated[int, Field(gt=0)] = 50
    """Steps between two entries."""
    pictures: Annotated[int, Field(ge=0, le=10_000)] = 4
    """Number of held-out pictures that each validation, and the evaluation at the end of the run, draws."""


class TrainingConfig(Section):
    """Options of a whole run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$")]
    task: Literal["rain", "raindrop", "shadow", "blur"]
    preset: Literal[tuple(PRESETS)]  # type: ignore[valid-type]
    seed: Annotated[int, Field(ge=0)] = 0
    start: Folder | None = None
    """Checkpoint with whose weights the first stage begins; random weights by default.

    It has any task, and the same preset or one that is nowhere larger, which is grown (`spair.network.growth`). Its
    path is written like those of `data`."""
    data: Data
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    schedule: Schedule = Schedule()
    loss: Loss = Loss()
    hardware: Hardware = Hardware()
    log: Log = Log()
    mask_probability: Probability | None = None
    """Probability of Net_L above which a pixel counts as distorted, instead of the preset's `mask_threshold`.

    A higher value marks less. `NAME.safetensors` keeps it. A run has to give it when its `start` has another
    threshold than the preset."""
    revive: bool = False
    """Whether channels of `start` that never fire are drawn anew (`spair.network.revival`)."""

    def find_preset(self) -> Preset:
        """Return the network's size, with this run's `mask_probability`."""
        preset = PRESETS[self.preset]
        chosen = self.mask_probability
        return preset if chosen is None else dataclasses.replace(preset, mask_threshold=chosen)

    def find_simulator(self) -> Simulator:
        """Return the task's simulator, with this run's kind of rain."""
        simulator = SIMULATORS[self.task]
        if self.data.rain is None:
            return simulator
        return dataclasses.replace(simulator, simulate=functools.partial(simulate_rain, kind=self.data.rain))

    @model_validator(mode="after")
    def _check_revive(self) -> TrainingConfig:
        if self.revive and self.start is None:
            raise ValueError("revive = true is about the channels of start, which is not given: give one, or remove it")
        return self

    @model_validator(mode="after")
    def _check_transplant(self) -> TrainingConfig:
        if self.data.transplant and self.task != "rain":
            raise ValueError(
                f"data.transplant = {self.data.transplant} lays the rain of a pair over another photograph, but the "
                f"task is {self.task}; use data.simulate"
            )
        return self

    @model_validator(mode="after")
    def _check_rain(self) -> TrainingConfig:
        if self.data.rain is not None and self.task != "rain":
            raise ValueError(
                f'data.rain = "{self.data.rain}" chooses a simulated rain, but the task is {self.task}; remove it'
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

    def in_folder(self, runs: Path) -> TrainingConfig:
        """Return the same run with `${runs}` standing for another folder."""
        places = dataclasses.replace(self.data._places, runs=runs)
        return self.model_copy(update={"data": self.data.at(places)})

    def locate_start(self) -> Path | None:
        """Return `start` as an absolute path.

        Raises:
            UserError: its data root has no folder.
        """
        return None if self.start is None else self.data.find(self.start)

    def samples_before(self, stage: int) -> int:
        """Count the samples of the stages before one."""
        return sum(part.steps * part.batch for part in self.stages[:stage])

    def steps_before(self, stage: int) -> int:
        """Count the optimizer steps of the stages before one."""
        return sum(part.steps for part in self.stages[:stage])
