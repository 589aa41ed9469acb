"""The Lightning module and data module of a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from ..network import SPAIR, find_preset
from .config import TrainingConfig
from .corpus import Corpus
from .metrics import luma, psnr
from .patches import PatchDataset

BAD_BATCH = "bad_batch.npz"
"""In the run's folder: the batch whose loss was not finite."""


def true_mask(degraded: Tensor, clean: Tensor, threshold: int) -> Tensor:
    """[N,3,H,W] 0..1 twice -> [N,1,H,W] of 0 and 1: some channel differs by more than threshold/255.

    Half a step of slack keeps the rule the one of 8-bit pictures in spite of float rounding.
    """
    return ((degraded - clean).abs().amax(1, keepdim=True) > (threshold + 0.5) / 255.0).to(degraded.dtype)


def charbonnier(restored: Tensor, clean: Tensor, eps: float = 1e-3) -> Tensor:
    """Mean of sqrt(d^2 + eps^2): L1 that is smooth at 0 (Charbonnier et al. 1994)."""
    return torch.sqrt((restored - clean).square() + eps * eps).mean()


class RestorationModule(L.LightningModule):
    """Joint training of Net_L and Net_R."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        self.config = config
        self.model = SPAIR(find_preset(config.preset))
        self.save_hyperparameters({"config": config.model_dump(mode="json")})

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        """Loss of a batch of uint8 [N,3,P,P] pairs.

        Raises:
            FloatingPointError: the loss is NaN or infinite; the batch is saved as `BAD_BATCH` before.
        """
        image_loss, mask_loss = self.measure(batch, self.global_step)
        loss = image_loss + self.config.loss.mask_weight * mask_loss
        if not torch.isfinite(loss):
            raise FloatingPointError(self._save_batch(batch, loss))
        self.log("image_loss", image_loss, prog_bar=True)
        self.log("mask_loss", mask_loss, prog_bar=True)
        return loss

    def measure(self, batch: tuple[Tensor, Tensor], step: int) -> tuple[Tensor, Tensor]:
        """(image loss, mask loss) of a batch of uint8 [N,3,P,P] pairs.

        Every other step restores under the union of the predicted and the true mask, so that Net_R learns the pixels
        that Net_L does not find yet; the other steps restore what will be restored in use.
        """
        degraded, clean = (part.float() / 255.0 for part in batch)
        target = true_mask(degraded, clean, self.config.loss.mask_threshold)
        found = self.model.localize(degraded)
        used = torch.maximum(found.mask, target) if step % 2 else found.mask
        restored = self.model.restore(degraded, used, found.features)
        return charbonnier(restored, clean), F.binary_cross_entropy_with_logits(found.logits, target)

    def _save_batch(self, batch: tuple[Tensor, Tensor], loss: Tensor) -> str:
        """Keep what made the loss not finite; returns the sentence for the user."""
        path = Path(self.trainer.default_root_dir) / BAD_BATCH
        degraded, clean = (part.cpu().numpy() for part in batch)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez(file, degraded=degraded, clean=clean, step=self.global_step)
        temporary.replace(path)
        return (
            f"the loss is {loss.item()} at step {self.global_step}, and would be again after a resume; its batch is "
            f"saved as {path}: mend those pictures, or start a run of another name with a lower schedule.learning_rate"
        )

    def validation_step(self, pair: tuple[str, np.ndarray, np.ndarray], index: int) -> None:
        """Y-PSNR of one held-out (name, degraded, clean) after restoration, averaged per folder of pairs."""
        name, degraded, clean = pair
        image = torch.from_numpy(degraded.copy()).permute(2, 0, 1)[None].float() / 255.0
        restored = self.model(image.to(self.device))
        output = restored.image[0].mul(255).round().div(255).permute(1, 2, 0).cpu().numpy()
        folder = name.split("/")[0]
        score = psnr(luma(output), luma(clean / np.float32(255)))
        self.log(f"psnr_y/{folder}", score, batch_size=1, on_epoch=True, prog_bar=True)
        self.log(f"density/{folder}", restored.mask.mean(), batch_size=1, on_epoch=True)

    def configure_optimizers(self) -> Any:
        """AdamW; linear warm-up, then a cosine down to a hundredth."""
        schedule = self.config.schedule
        optimizer = torch.optim.AdamW(self.parameters(), lr=schedule.learning_rate, weight_decay=1e-4)

        def factor(step: int) -> float:
            if step < schedule.warm_up:
                return (step + 1) / (schedule.warm_up + 1)
            progress = (step - schedule.warm_up) / max(1, schedule.steps - schedule.warm_up)
            return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class PatchModule(L.LightningDataModule):
    """Hands out the samples of one epoch at a time, numbered through the run."""

    def __init__(self, config: TrainingConfig, corpus: Corpus) -> None:
        super().__init__()
        self.config, self.corpus = config, corpus

    def train_dataloader(self) -> DataLoader:
        """Batches of this epoch; called again for each (the trainer reloads every epoch)."""
        schedule = self.config.schedule
        done = self.trainer.global_step if self.trainer else 0  # not epochs: the last one before more steps was short
        steps = max(0, min(schedule.epoch, schedule.steps - done))
        patches = PatchDataset(
            self.corpus,
            self.config.data,
            schedule.patch,
            self.config.seed,
            first=done * schedule.batch,
            count=steps * schedule.batch,
        )
        return DataLoader(patches, batch_size=schedule.batch, num_workers=1, prefetch_factor=8)

    def val_dataloader(self) -> DataLoader:
        """The held-out pairs, one at a time and whole."""
        pairs = [(pair.name, pair.degraded, pair.clean) for pair in self.corpus.held_out]
        return DataLoader(pairs, batch_size=None, collate_fn=lambda pair: pair)  # type: ignore[arg-type]
