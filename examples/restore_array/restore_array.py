"""Restore an array in memory.

Rain is drawn over a photograph and removed again.
"""

import argparse
import importlib.resources
from pathlib import Path

import numpy as np

from spair.runtime import Restorer, read_image
from spair.training.simulators.rain import Rain, add_rain


def psnr(picture: np.ndarray, clean: np.ndarray) -> float:
    """Return the PSNR of two pictures in 0..1, in dB."""
    return float(-10 * np.log10(np.mean((picture - clean) ** 2)))


def main() -> None:
    """Rain on a photograph, restore it, and print the result."""
    argparse.ArgumentParser(description=__doc__).parse_args()

    photo = read_image(Path(str(importlib.resources.files("skimage") / "data" / "coffee.png"))).pixels
    clean = photo[:256, :384, :3].astype(np.float32) / np.float32(255)
    rain = Rain(angle=-12.0, length=24.0, width=0.6, density=0.001, opacity=0.5, veil=0.0)
    rainy = add_rain(clean, rain, np.random.default_rng(7)).image  # [H, W, 3] float32 in 0..1

    with Restorer.open("rain") as restorer:
        result = restorer(rainy)

    kept = np.array_equal(result.image[~result.mask], rainy[~result.mask])
    print(f"PSNR {psnr(rainy, clean):.2f} dB with rain, {psnr(result.image, clean):.2f} dB restored")
    print(f"{result.density:.1%} of the pixels restored, the others unchanged: {kept}")
    print(f"pieces: {result.tiles.skipped} skipped, {result.tiles.packed} packed, {result.tiles.dense} dense")


if __name__ == "__main__":
    main()
