"""Restore one picture file and save it with its mask."""

import argparse
import importlib.resources
from pathlib import Path

from spair.export.exporter import export_checkpoint
from spair.runtime import Picture, Restorer, read_image, write_image


def shipped_bundle(folder: Path) -> Path:
    """Export the shipped rain weights into a folder, once."""
    bundle = folder / "rain.spair"
    if not bundle.exists():
        weights = importlib.resources.files("spair.network.weights") / "rain-tiny.safetensors"
        with importlib.resources.as_file(weights) as checkpoint:
            print("exporting the shipped rain weights, which takes about a minute")
            export_checkpoint(checkpoint, bundle)
    return bundle


def main() -> None:
    """Restore the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path, nargs="?", help="a picture file; a photograph of scikit-image by default")
    parser.add_argument("--work", type=Path, default=Path("work"), help="folder for the bundle and the results")
    arguments = parser.parse_args()
    photo = arguments.photo or Path(str(importlib.resources.files("skimage") / "data" / "coffee.png"))

    with Restorer.open(shipped_bundle(arguments.work)) as restorer:
        picture = read_image(photo)
        result = restorer(picture.pixels)

    restored = arguments.work / f"{photo.stem}.restored.png"
    write_image(restored, Picture(result.image, icc=picture.icc))
    white_where_distorted = result.mask[..., None].astype("uint8") * 255
    write_image(arguments.work / f"{photo.stem}.mask.png", Picture(white_where_distorted))
    print(f"{restored}: {result.density:.1%} of {picture.width}x{picture.height} pixels restored")


if __name__ == "__main__":
    main()
