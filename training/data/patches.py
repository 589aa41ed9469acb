"""Random crops for training.

Sample i of a run is a pure function of (seed, i), so a resumed run sees the same pictures.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import Dataset

from ..simulators import Simulator
from ..simulators.base import find_inner
from ..simulators.rain_layers import RainLayer, complete_light, find_layer, find_margin, vary_light
from .config import Data
from .corpus import Corpus, differs

CROPS = 6
"""Largest number of crops of a pair from which the rain of one transplant is put together."""
SEEN = 0.995
"""Share of the pixels of a crop whose rain has to be seen for it to serve alone."""


class Sample(NamedTuple):
    """A square crop.

    In a batch each field has N in front.
    """

    degraded: np.ndarray
    """Degraded crop, uint8 [3,P,P] RGB."""
    clean: np.ndarray
    """Clean crop, uint8 [3,P,P]; a copy of the degraded crop where the clean one is not known."""
    mask: np.ndarray
    """True mask, uint8 [1,P,P], 1 where distorted."""
    known: np.ndarray
    """1 where `clean` is known, else 0; float32 []."""


class ProcessShare(NamedTuple):
    """Part of each batch that this process makes.

    It is part `rank` of `world` equal parts.
    """

    rank: int = 0
    world: int = 1


class PatchDataset(Dataset[Any]):
    """Data set of random crops in random orientation.

    `Data` gives the shares of four kinds of samples: crops of a pair; transplants, where the rain of a pair, found by
    `simulators.rain_layers`, is laid over a clean photo; simulated degradations; and crops of photographs that only
    have a mask.
    """

    def __init__(
        self,
        corpus: Corpus,
        data: Data,
        simulator: Simulator,
        patch: int,
        seed: int,
        *,
        first: int,
        count: int,
        batch: int = 1,
        share: ProcessShare = ProcessShare(),  # noqa: B008 (immutable)
    ) -> None:
        """Prepare `count` samples of the run, from number `first` on.

        Of each `batch` of them this process makes only its share.
        """
        self.corpus, self.data, self.simulator, self.patch, self.seed = corpus, data, simulator, patch, seed
        self.first, self.count = first, count // share.world
        self.part, self.share = batch // share.world, share
        self.backgrounds = (*corpus.photos, *(pair.clean for pair in corpus.pairs))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.count:
            raise IndexError(index)
        step, place = divmod(index, self.part)
        number = self.first + (step * self.share.world + self.share.rank) * self.part + place
        rng = np.random.default_rng((self.seed, number))
        degraded, clean, mask = self._sample(rng)
        known = np.asarray(clean is not None, np.float32)
        parts = [degraded, degraded if clean is None else clean, mask[..., None].astype(np.uint8)]
        turned = _turn(rng, parts, upright=self.simulator.task == "rain")
        degraded, clean, mask = (np.ascontiguousarray(part.transpose(2, 0, 1)) for part in turned)
        return Sample(degraded, clean, mask, known)

    def _sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Draw a sample.

        Returns:
            Degraded and clean uint8 [P,P,3] (clean is None where unknown), and the mask, bool [P,P].
        """
        kind = rng.random()
        if kind < self.data.simulate:
            return self._simulated(rng)
        if kind < self.data.simulate + self.data.from_masked:
            photo = _pick(rng, self.corpus.masked)
            degraded, mask = self._crop(rng, photo.degraded, photo.mask)
            return degraded, None, mask
        if kind < self.data.simulate + self.data.from_masked + self.data.transplant:
            degraded, clean = self._transplant(rng)
            return degraded, clean, differs(degraded, clean, self.data.mask_threshold)
        pair = _pick(rng, self.corpus.pairs)
        given = () if pair.mask is None else (pair.mask,)
        degraded, clean, *masks = self._crop(rng, pair.degraded, pair.clean, *given)
        return degraded, clean, masks[0] if masks else differs(degraded, clean, self.data.mask_threshold)

    def _simulated(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Degrade a crop of a clean picture with the simulator."""
        margin = self.simulator.margin
        clean = self._surroundings(rng, _pick(rng, self.backgrounds), margin)
        degraded, mask = self.simulator.simulate(clean.astype(np.float32) / np.float32(255), rng, margin)
        return _to_bytes(degraded), clean[find_inner(clean, margin)], mask

    def _transplant(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Add the rain of a pair to a clean crop."""
        light = self._draw_light(rng)
        (clean,) = self._crop(rng, _pick(rng, self.backgrounds))
        if rng.random() < 0.5:
            clean = clean[::-1]
        return np.clip(clean + light, 0, 255).astype(np.uint8), clean

    def _draw_light(self, rng: np.random.Generator) -> np.ndarray:
        """Draw the light of a pair's rain, int16 [P,P,3].

        Light that a crop does not show is taken from other crops of the pair.
        """
        pair = _pick(rng, self.corpus.pairs)
        spare = (pair.clean.shape[1] - self.patch) // 2
        margin = min(find_margin(self.patch), spare) if self.data.vary else 0
        layers: list[RainLayer] = []
        while len(layers) < CROPS and not any(layer.seen.mean() >= SEEN for layer in layers):
            layers.append(find_layer(*self._crop(rng, pair.degraded, pair.clean, margin=margin)))
        light = complete_light(layers)
        return vary_light(rng, light, margin) if self.data.vary else light

    def _crop(self, rng: np.random.Generator, *pictures: np.ndarray, margin: int = 0) -> list[np.ndarray]:
        """Cut the same random square out of all pictures.

        It has `margin` more columns on either side.
        """
        top, left = self._place(rng, pictures[0][:, margin : pictures[0].shape[1] - margin])
        width = self.patch + 2 * margin
        return [picture[top : top + self.patch, left : left + width] for picture in pictures]

    def _surroundings(self, rng: np.random.Generator, picture: np.ndarray, margin: int) -> np.ndarray:
        """Cut a random square with a margin on every side.

        The margin is `margin` pixels wide. The picture continues as its mirror image where it ends.
        """
        rows, columns = (
            _mirror(np.arange(start - margin, start + self.patch + margin), size)
            for start, size in zip(self._place(rng, picture), picture.shape, strict=False)
        )
        return picture[rows].take(columns, axis=1)  # four times as fast as indexing both axes at once

    def _place(self, rng: np.random.Generator, picture: np.ndarray) -> tuple[int, int]:
        """Draw the top left corner of a crop."""
        height, width = picture.shape[:2]
        return int(rng.integers(height - self.patch + 1)), int(rng.integers(width - self.patch + 1))


def _pick(rng: np.random.Generator, items: tuple[Any, ...]) -> Any:
    return items[rng.integers(len(items))]


def _mirror(index: np.ndarray, size: int) -> np.ndarray:
    """Reflect positions outside 0..size-1 at the edge pixels.

    The positions may be any distance outside; the edge pixel appears once.
    """
    if size == 1:
        return np.zeros_like(index)
    folded = np.abs(index) % (2 * size - 2)
    return np.minimum(folded, 2 * size - 2 - folded)


def _turn(rng: np.random.Generator, parts: list[np.ndarray], *, upright: bool) -> list[np.ndarray]:
    """Turn the parts into one of eight random orientations.

    With `upright` they are only mirrored left to right, for pictures in which up and down matter.
    """
    if rng.random() < 0.5:
        parts = [part[:, ::-1] for part in parts]
    if not upright:
        turns = int(rng.integers(4))
        parts = [np.rot90(part, turns) for part in parts]
    return parts


def _to_bytes(image: np.ndarray) -> np.ndarray:
    return np.rint(image * np.float32(255)).astype(np.uint8)
