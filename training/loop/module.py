"""Lightning modules that train one stage and feed it."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ...network import SPAIR
from ...runtime.files import write_atomically
from ..config import Stage, TrainingConfig
from ..data.corpus import Corpus, MaskedPhoto, PicturePair
from ..data.patches import PatchDataset, ProcessShare, Sample
from ..evaluation.metrics import luma, mask_measures, psnr
from .losses import image_loss, mask_loss, ramp
from .masks import draw_threshold, takes_stray_masks, takes_true_masks
from .packed import restore_by_density

BAD_BATCH = "bad_batch.npz"
"""File in the run's folder that holds the batch whose loss was not finite."""


class Losses(NamedTuple):
    """Parts of the loss of a batch.

    A part is None where the stage does not have it.
    """

    image: Tensor | None
    mask: Tensor | None


class RestorationModule(L.LightningModule):
    """Module that trains Net_L, Net_R with Net_L frozen, or both."""

    def __init__(self, config: TrainingConfig, stage: int = 0) -> None:
        """Build the networks of a stage, counted from 0.

        `on_fit_start` sets up channels-last memory, where it is configured.
        """
        super().__init__()
        self.config, self.stage = config, config.stages[stage]
        self.model = SPAIR(config.find_preset())
        self.model.net_l.requires_grad_(self.stage.train != "net_r")
        self.model.net_r.requires_grad_(self.stage.train != "net_l")
        self._loss = config.loss.model_copy(update={"image": self.stage.image or config.loss.image})
        self._computed = self._compute
        self.save_hyperparameters({"config": config.model_dump(mode="json"), "stage": stage})

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        """Compute the loss of a batch of `Sample`s.

        Raises:
            FloatingPointError: the loss is NaN or infinite; the batch was saved as `BAD_BATCH`.
        """
        sample = Sample(*batch)
        losses = self.measure(sample, self.global_step)
        weight = 1.0
        if self.stage.train == "both":
            chosen = self.stage.mask_weight
            weight = self.config.loss.mask_weight if chosen is None else chosen
        loss = sum_known(losses.image, None if losses.mask is None else weight * losses.mask)
        if not torch.isfinite(loss):
            raise FloatingPointError(self._save_batch(sample, loss))
        for name, value in losses._asdict().items():
            if value is not None:
                # a copy, because the next step of a compiled run overwrites the value
                self.log(f"{name}_loss", value.clone(), prog_bar=True, sync_dist=self.trainer.world_size > 1)
        return loss

    def measure(self, sample: Sample, step: int) -> Losses:
        """Compute the losses of a batch at a step.

        `Stage` sets the shares of steps in which the true mask or a stray mask joins the found mask.
        """
        degraded, clean, mask, known = (torch.as_tensor(part) for part in sample)
        turns = [takes_true_masks(step, self.stage.true_masks), takes_stray_masks(step, self.stage.stray_masks)]
        turn = torch.tensor(turns, device=mask.device)
        return self._computed(degraded, clean, mask, known, turn, self._draw_thresholds(step, mask))

    def _draw_thresholds(self, step: int, mask: Tensor) -> Tensor | None:
        """Draw the threshold of each sample, a logit.

        Several processes draw what one would, each for its share of the batch.

        Returns:
            [N,1,1,1]; None where the model's own threshold holds.
        """
        if self.stage.thresholds is None:
            return None
        count = len(mask)
        first = step * self.stage.batch + (self.trainer.global_rank * count if self._trainer is not None else 0)
        drawn = [draw_threshold(first + place, self.stage.thresholds) for place in range(count)]
        return torch.tensor(drawn, device=mask.device)[:, None, None, None]

    def _compute(
        self, degraded: Tensor, clean: Tensor, mask: Tensor, known: Tensor, turns: Tensor, thresholds: Tensor | None
    ) -> Losses:
        """Compute the losses of a batch in one graph.

        `hardware.compile` compiles this method. `turns`, bool [2], says whether the true mask joins the found mask and
        whether a stray mask does. They are values and not arguments, so that one compiled graph serves all steps.
        """
        memory = torch.channels_last if self._channels_last() else torch.contiguous_format
        degraded, clean = (part.to(memory_format=memory).float() / 255.0 for part in (degraded, clean))
        truth = mask.to(degraded.dtype)
        with torch.set_grad_enabled(self.stage.train != "net_r" and torch.is_grad_enabled()):
            found = self.model.localize(degraded)
        wrong = None
        if self.stage.train != "net_r":
            width = self._loss.mask_ramp
            target = None if width is None else ramp(degraded, clean, truth, known, width)
            wrong = mask_loss(found.logits.float(), truth, self._loss, target)
        if self.stage.train == "net_l":
            return Losses(None, wrong)
        mine = found.mask if thresholds is None else (found.logits > thresholds).to(degraded.dtype)
        stray = mine.roll(1, 0)  # the mask of another sample, which has nothing to do with this one
        used = mine.maximum(truth * turns[0]).maximum(stray * turns[1])
        if self._packs():
            restored = restore_by_density(self.model, degraded, used, found.features, self.config.hardware.packed_below)
        else:
            restored = self.model.restore(degraded, used, found.features)
        return Losses(image_loss(restored.float(), clean, known, self._loss), wrong)

    def _channels_last(self) -> bool:
        """Tell whether tensors are stored channels-last."""
        chosen = self.config.hardware.channels_last
        return self.device.type == "cuda" or self._is_mixed() if chosen is None else chosen

    def _is_mixed(self) -> bool:
        """Tell whether the trainer computes in mixed precision."""
        return self._trainer is not None and "mixed" in str(self.trainer.precision)

    def _packs(self) -> bool:
        """Tell whether samples with few distorted pixels are packed.

        Packing is used only where it was measured to be faster, on a CPU.
        """
        gates = self.model.preset.gate_output
        return self.device.type == "cpu" and gates and self.config.hardware.packed_below > 0

    def on_fit_start(self) -> None:
        """Set the weights' memory format and compile the step.

        Both depend on the device and the configuration.
        """
        if self._channels_last():
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.config.hardware.compile and self.device.type == "cuda":
            self._computed = torch.compile(self._compute, fullgraph=True, dynamic=False, mode="reduce-overhead")

    def _save_batch(self, sample: Sample, loss: Tensor) -> str:
        """Save the batch whose loss is not finite.

        Returns:
            The error message.
        """
        path = Path(self.trainer.default_root_dir) / BAD_BATCH
        arrays: dict[str, Any] = {name: torch.as_tensor(part).cpu().numpy() for name, part in sample._asdict().items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.savez(content, **arrays, step=self.global_step, stage=self.hparams["stage"])
        write_atomically(path, content.getvalue())
        return (
            f"the loss is {loss.item()} at step {self.global_step} of stage {self.hparams['stage']}, and would be again"
            f" after a resume; its batch is saved as {path}: correct those pictures, or start a run of another name"
            " with a lower learning_rate"
        )

    def validation_step(self, picture: PicturePair | MaskedPhoto, index: int) -> dict[str, Tensor]:
        """Restore one held-out picture and log its measures.

        The measures are PSNR (luma and RGB), IoU and densities of the mask, averaged per group of pictures. Every
        process of a distributed run restores all pictures: they are few, and all processes then agree.

        Returns:
            The restored "image" [1,3,H,W] and the found "mask" [1,1,H,W], for callbacks that draw.
        """
        image = torch.from_numpy(picture.degraded.copy()).permute(2, 0, 1)[None].float() / 255.0
        restored = self.model(image.to(self.device))
        mask = restored.mask[0, 0].cpu().numpy() > 0
        scores: dict[str, float] = {}
        truth = picture.find_truth(self.config.data.mask_threshold)
        if isinstance(picture, PicturePair):
            output = restored.image[0].mul(255).round().div(255).permute(1, 2, 0).cpu().numpy()
            scores["psnr_y"] = psnr(luma(output), luma(picture.clean / np.float32(255)))
            scores["psnr_rgb"] = psnr(output, picture.clean / np.float32(255))
        scores |= {"iou": mask_measures(mask, truth)["iou"], "density": mask.mean(), "true_density": truth.mean()}
        group = picture.name.split("/")[0]
        for name, value in scores.items():
            shown = name in ("psnr_y", "iou")
            self.log(f"{name}/{group}", float(value), batch_size=1, on_epoch=True, prog_bar=shown, rank_zero_only=True)
        return {"image": restored.image, "mask": restored.mask}

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Keep held-out pictures as NumPy arrays.

        Validation compares in NumPy. All other batches go to the device.
        """
        if isinstance(batch, (PicturePair, MaskedPhoto)):
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def configure_optimizers(self) -> Any:
        """Create AdamW with the schedule of `rate`."""
        stage = self.stage
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(learning, lr=stage.learning_rate, weight_decay=1e-4)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, stage))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def sum_known(*parts: Tensor | None) -> Tensor:
    """Add the parts that are not None."""
    return torch.stack([part for part in parts if part is not None]).sum()


def rate(step: int, stage: Stage) -> float:
    """Compute the learning rate at a step.

    The result is a share of the peak rate. It rises linearly during the warm-up, then falls along a cosine to a
    hundredth.
    """
    if step < stage.warm_up:
        return (step + 1) / (stage.warm_up + 1)
    progress = (step - stage.warm_up) / max(1, stage.steps - stage.warm_up)
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


class PatchModule(L.LightningDataModule):
    """Data module that provides the samples of an epoch.

    Samples are numbered through the run.
    """

    def __init__(self, config: TrainingConfig, corpus: Corpus, stage: int = 0) -> None:
        super().__init__()
        self.config, self.corpus, self.stage = config, corpus, stage

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the batches of this epoch.

        The trainer calls this again before every epoch.
        """
        stage, workers = self.config.stages[self.stage], self.config.hardware.workers
        trainer = self.trainer
        done = trainer.global_step if trainer else 0  # not epochs, because a stage that was lengthened has a short one
        share = ProcessShare(trainer.global_rank, trainer.world_size) if trainer else ProcessShare()
        steps = max(0, min(self.config.schedule.epoch, stage.steps - done))
        patches = PatchDataset(
            self.corpus,
            self.config.data.without_masked() if stage.train == "net_r" else self.config.data,
            self.config.find_simulator(),
            stage.patch,
            self.config.seed,
            first=self.config.samples_before(self.stage) + done * stage.batch,
            count=steps * stage.batch,
            batch=stage.batch,
            share=share,
        )
        return DataLoader(
            patches,
            batch_size=stage.batch // share.world,
            num_workers=workers,
            prefetch_factor=8 if workers else None,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the held-out pictures, one at a time and whole.

        Pictures without a clean one are used only where Net_L learns.
        """
        masked = self.corpus.held_out_masked if self.config.stages[self.stage].train != "net_r" else ()
        pictures = [*self.corpus.held_out, *masked]
        return DataLoader(pictures, batch_size=None, collate_fn=lambda picture: picture)  # type: ignore[arg-type]
