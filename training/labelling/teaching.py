"""Labelling of shadows by taught networks.

Large networks learn from the few photographs that have masks, and then mark the shadows of photographs that have none.
Run `python -m spair.training.labelling --labelled PHOTOS MASKS --held-out a,b --photos FOLDER --out NEW_FOLDER`. It
writes NEW_FOLDER/masks, one mask for each photograph, for a run's `data.masked`. It also writes NEW_FOLDER/clear, links
to the photographs with few shadows, for its `data.photos`: a simulated shadow on them is nearly the only one.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch import nn
from torch.nn import functional as F

from ...runtime.errors import UserError
from ...temporary.places import place_beside
from ..config import Loss
from ..loop.losses import mask_loss
from ..simulators import SIMULATORS
from .labeller import MULTIPLE, Labeller

Photo = tuple[np.ndarray, np.ndarray]
"""A photograph, uint8 [H,W,3], and its mask, bool [H,W]."""


@dataclasses.dataclass(frozen=True)
class Teaching:
    """Settings of the training of a labeller.

    A trial of 400 steps took 13 minutes of one core, in mixed bfloat16.
    """

    steps: int = 400
    """Optimizer steps."""
    batch: int = 6
    """Samples of a step."""
    side: int = 256
    """Side in pixels to which crops are resized."""
    simulate: float = 0.3
    """Share of samples that are photographs without masks with a simulated shadow; their real shadows count as none."""
    mix: float = 0.5
    """Share of samples that get a rectangle of another sample (CutMix, Yun et al. 2019)."""
    encoder_rate: float = 1e-4
    """Peak learning rate of the encoder, which was trained before."""
    rate: float = 1e-3
    """Peak learning rate of all other layers."""


def teach(network: Labeller, photos: Sequence[Photo], others: Sequence[np.ndarray], how: Teaching, seed: int) -> None:
    """Train a labeller in place.

    It ends with the moving average of its weights, in evaluation mode.

    Args:
        network: labeller with a trained or an untrained encoder.
        photos: photographs with masks.
        others: uint8 [H,W,3], at least `how.side` high and wide; shadows are simulated on them.
        how: settings of the training.
        seed: seed of all random draws.
    """
    rng = np.random.default_rng(seed)
    old = [*network.encoder.parameters()]
    new = [p for name, p in network.named_parameters() if not name.startswith("encoder.")]
    groups = [{"params": old, "lr": how.encoder_rate}, {"params": new, "lr": how.rate}]
    optimizer = torch.optim.AdamW(groups, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 50) * 0.5 * (1 + np.cos(np.pi * step / how.steps))
    )
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.98)
    )
    network.train()
    for _ in track(range(how.steps), "teaching"):
        image, mask = draw_batch(photos, others, how, rng)
        loss = mask_loss(network(image), mask, Loss(class_balance=0.0))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
    network.load_state_dict(average.module.state_dict())
    network.eval()


def draw_batch(
    photos: Sequence[Photo], others: Sequence[np.ndarray], how: Teaching, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw the samples of one step.

    Returns:
        Images [N,3,S,S] 0..1, and masks [N,1,S,S] of 0 and 1.
    """
    samples = [
        _simulated(others, how.side, rng) if rng.random() < how.simulate else _photographed(photos, how.side, rng)
        for _ in range(how.batch)
    ]
    images, masks = np.stack([image for image, _ in samples]), np.stack([mask for _, mask in samples])
    mixed_images, mixed_masks = images.copy(), masks.copy()
    for place in range(how.batch):
        if rng.random() < how.mix:
            other = int(rng.integers(how.batch))
            rows, columns = (_span(how.side, int(rng.integers(how.side // 4, how.side * 2 // 3)), rng) for _ in "yx")
            mixed_images[place, rows, columns] = images[other, rows, columns]
            mixed_masks[place, rows, columns] = masks[other, rows, columns]
    image = torch.from_numpy(mixed_images.astype(np.float32)).permute(0, 3, 1, 2)
    return image, torch.from_numpy(mixed_masks.astype(np.float32))[:, None]


def find_probability(networks: Sequence[Callable[[torch.Tensor], torch.Tensor]], photo: np.ndarray) -> np.ndarray:
    """Compute the networks' mean probability of a shadow.

    The photograph is resized so that its longer side is 384 pixels.

    Args:
        networks: labellers.
        photo: uint8 [H,W,3].

    Returns:
        float32 [H,W], 0..1.
    """
    height, width = photo.shape[:2]
    share = 384 / max(height, width)
    size = tuple(max(1, round(side * share / MULTIPLE)) * MULTIPLE for side in (width, height))
    small = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC), np.float32) / np.float32(255)
    image = torch.from_numpy(small).permute(2, 0, 1)[None]
    with torch.inference_mode():
        mean = torch.stack([torch.sigmoid(network(image)) for network in networks]).mean(0)
        return F.interpolate(mean, size=(height, width), mode="bilinear")[0, 0].numpy()


def write_labels(
    networks: Sequence[Callable[[torch.Tensor], torch.Tensor]],
    photos: Mapping[Path, np.ndarray],
    out: Path,
    threshold: float = 0.4,
    clear: float = 0.15,
) -> None:
    """Write the masks of photographs and link the clear ones.

    The folder `out` appears when everything is written.

    Args:
        networks: labellers.
        photos: photographs, uint8 [H,W,3], by path.
        out: folder that is made.
        threshold: mean probability above which a pixel is shadow.
        clear: share of shadow below which a photograph is linked.
    """
    with part_of(out) as part:
        for path, photo in track(photos.items(), "labelling"):
            found = find_probability(networks, photo) > threshold
            Image.fromarray(found).save(part / "masks" / f"{path.stem}.png")
            if found.mean() < clear:
                (part / "clear" / path.name).symlink_to(path.resolve())
        part.replace(out)


@contextlib.contextmanager
def part_of(out: Path) -> Iterator[Path]:
    """Make a folder beside `out` for masks and links.

    It is removed at the end, unless it was moved into place.

    Raises:
        UserError: the folders cannot be made, for lack of permission or room.
    """
    with place_beside(out) as part:
        try:
            for name in ("masks", "clear"):
                (part / name).mkdir(parents=True)
        except OSError as error:
            raise UserError(f"--out {out} cannot be made ({error.strerror}); name another folder") from error
        yield part


def _photographed(photos: Sequence[Photo], side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a sample from the photographs with masks.

    It is a crop of a third to all of a photograph, mirrored and lit differently.

    Returns:
        float [S,S,3] and bool [S,S].
    """
    photo, mask = photos[int(rng.integers(len(photos)))]
    height, width = mask.shape
    reach, stretch = rng.uniform(0.35, 1.1) * min(height, width), np.exp(rng.uniform(-0.3, 0.3))
    tall, wide = min(height, reach * stretch), min(width, reach / stretch)
    top, left = rng.uniform(0, height - tall), rng.uniform(0, width - wide)
    box = (left, top, left + wide, top + tall)
    image = Image.fromarray(photo).resize((side, side), Image.Resampling.BICUBIC, box=box)
    shadow = Image.fromarray(mask.astype(np.uint8) * 255).resize((side, side), Image.Resampling.BILINEAR, box=box)
    parts = [np.asarray(image, np.float32) / np.float32(255), np.asarray(shadow) > 127]
    lit, shadow_mask = (part[:, ::-1] for part in parts) if rng.random() < 0.5 else parts
    lit = lit ** np.exp(rng.uniform(-0.4, 0.4)) * rng.uniform(0.75, 1.25) * rng.uniform(0.88, 1.12, 3)
    gray = lit.mean(2, keepdims=True)
    return np.clip(gray + (lit - gray) * rng.uniform(0.3, 1.4), 0.0, 1.0), shadow_mask


def _simulated(others: Sequence[np.ndarray], side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a sample with a simulated shadow."""
    photo = others[int(rng.integers(len(others)))]
    rows, columns = (_span(length, side, rng) for length in photo.shape[:2])
    return SIMULATORS["shadow"].simulate(photo[rows, columns].astype(np.float32) / np.float32(255), rng)


def _span(whole: int, part: int, rng: np.random.Generator) -> slice:
    """Draw the place of `part` pixels within `whole`."""
    start = int(rng.integers(whole - part + 1))
    return slice(start, start + part)
