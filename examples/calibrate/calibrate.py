"""Calibrate the shipped rain weights to FP16 on four crops."""

import argparse
import importlib.resources
import shutil
from pathlib import Path

import numpy as np

from spair.calibration import Options, calibrate_bundle
from spair.runtime import Picture, Restorer, read_image, write_image
from spair.runtime.shipped import resolve_model
from spair.training.simulators.rain import Rain, add_rain

PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
SIDE = 96


def write_crops(rainy_folder: Path, clean_folder: Path) -> None:
    """Write one crop of each photograph, clean and rainy.

    The rain goes from hardly any to much.
    """
    for folder in (rainy_folder, clean_folder):
        folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(PHOTOS):
        pixels = read_image(Path(str(importlib.resources.files("skimage") / "data" / name))).pixels
        clean = pixels[100 : 100 + SIDE, 150 : 150 + SIDE, :3].astype(np.float32) / np.float32(255)
        rain = Rain(angle=-12.0, length=20.0, width=0.7, density=0.0005 * 3**index, opacity=0.6, veil=0.0)
        rainy = add_rain(clean, rain, np.random.default_rng(index)).image
        for folder, crop in ((rainy_folder, rainy), (clean_folder, clean)):
            write_image(folder / f"{Path(name).stem}.png", Picture(np.rint(crop * 255).astype(np.uint8)))


def main() -> None:
    """Calibrate a copy of the bundle and compare both precisions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"), help="folder for pictures and bundles")
    arguments = parser.parse_args()
    rainy, clean, bundle = (arguments.work / name for name in ("rainy", "clean", "calibrated.spair"))
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(resolve_model("rain"), bundle)  # the bundle of the shipped weights is not ours to change
    write_crops(rainy, clean)

    # Four pictures and small tiles keep this short. Real calibrations take more, like those that will be restored.
    options = Options("fp16", tile=48, tiles=4, pictures=4, side=SIDE, quick=True)
    report = calibrate_bundle(bundle, rainy, options, targets=clean)
    print(f"passed: {report['passed']}, {report['psnr_delta_db']:+.4f} dB, allowed {report['gate_db']:.2f} dB")
    print(f"size: {report['file_ratio']:.2f} of FP32; layers kept in FP32: {len(report['kept_fp32'])}")

    image = read_image(rainy / "coffee.png").pixels
    with Restorer.open(bundle, precision="fp32") as full, Restorer.open(bundle, precision="fp16") as half:
        expected = full(image)
        differing = half(image).mask != expected.mask  # a pixel at the threshold may fall on the other side
        under_it = half(image, mask=expected.mask).image.astype(int)
    print(f"mask: {differing.sum()} of {differing.size} pixels differ")
    print(f"largest difference under one mask: {np.abs(expected.image - under_it).max()} of 255")


if __name__ == "__main__":
    main()
