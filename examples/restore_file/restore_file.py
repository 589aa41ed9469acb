"""Restore one picture file and save it with its mask."""

import argparse
import importlib.resources
from pathlib import Path

from spair.runtime import Picture, Restorer, read_image, write_image


def main() -> None:
    """Restore the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path, nargs="?", help="a picture file; a photograph of scikit-image by default")
    parser.add_argument("--work", type=Path, default=Path("work"), help="folder for the results")
    arguments = parser.parse_args()
    photo = arguments.photo or Path(str(importlib.resources.files("skimage") / "data" / "coffee.png"))

    with Restorer.open("rain") as restorer:
        picture = read_image(photo)
        result = restorer(picture.pixels)

    arguments.work.mkdir(parents=True, exist_ok=True)
    restored = arguments.work / f"{photo.stem}.restored.png"
    write_image(restored, Picture(result.image, icc=picture.icc))
    white_where_distorted = result.mask[..., None].astype("uint8") * 255
    write_image(arguments.work / f"{photo.stem}.mask.png", Picture(white_where_distorted))
    print(f"{restored}: {result.density:.1%} of {picture.width}x{picture.height} pixels restored")


if __name__ == "__main__":
    main()
