"""Training samples: sample i of a run is a pure function of (seed, i), so a resumed run sees the same pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch.utils.data import Dataset

from .config import Data
from .corpus import Corpus
from .simulators.rain import Rain, add_rain


class PatchDataset(Dataset):
    """Square crops, flipped at random: (degraded, clean), each uint8 [3,P,P] RGB.

    A sample is a crop of a pair, or a pair's degradation transplanted (degraded - clean, added to a clean photo,
    clipped), or a simulated one, in the shares that `Data` gives.
    """

    def __init__(self, corpus: Corpus, data: Data, patch: int, seed: int, first: int, count: int) -> None:
        self.corpus, self.data, self.patch, self.seed = corpus, data, patch, seed
        self.first, self.count = first, count
        self.backgrounds = (*corpus.photos, *(pair.clean for pair in corpus.pairs))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        rng = np.random.default_rng((self.seed, self.first + index))
        degraded, clean = self._sample(rng)
        if rng.random() < 0.5:
            degraded, clean = degraded[:, ::-1], clean[:, ::-1]
        return np.ascontiguousarray(degraded.transpose(2, 0, 1)), np.ascontiguousarray(clean.transpose(2, 0, 1))

    def _sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        kind = rng.random()
        if not self.corpus.pairs or kind < self.data.simulate:
            clean = self._crop(rng, _pick(rng, self.backgrounds))[0]
            rained = add_rain(clean.astype(np.float32) / 255.0, Rain.draw(rng), rng)
            return np.rint(rained * 255.0).astype(np.uint8), clean
        pair = _pick(rng, self.corpus.pairs)
        degraded, clean = self._crop(rng, pair.degraded, pair.clean)
        if kind < self.data.simulate + self.data.transplant:
            layer = degraded.astype(np.int16) - clean
            clean = self._crop(rng, _pick(rng, self.backgrounds))[0]
            if rng.random() < 0.5:
                clean = clean[::-1]
            degraded = np.clip(clean + layer, 0, 255).astype(np.uint8)
        return degraded, clean

    def _crop(self, rng: np.random.Generator, *pictures: np.ndarray) -> list[np.ndarray]:
        height, width = pictures[0].shape[:2]
        top, left = rng.integers(height - self.patch + 1), rng.integers(width - self.patch + 1)
        return [picture[top : top + self.patch, left : left + self.patch] for picture in pictures]


def _pick(rng: np.random.Generator, items: tuple[Any, ...]) -> Any:
    return items[rng.integers(len(items))]
