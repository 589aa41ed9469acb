"""Train a network for a few steps on simulated rain."""

import argparse
import importlib.resources
import subprocess
import sys
from pathlib import Path

from spair.runtime import Picture, read_image, write_image

PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
SIDE = 128
CONFIGURATION = """
name = "short"
task = "rain"
preset = "tiny"
seed = 1

[data]
photos = ["photos"]
simulate = 1.0

[[stages]]
train = "both"
steps = {steps}
batch = 2
patch = 32
warm_up = 5
"""


def main() -> None:
    """Write photographs and a configuration, and run `spair train`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"), help="folder for photographs and the run")
    parser.add_argument("--steps", type=int, default=20, help="training steps")
    arguments = parser.parse_args()

    photos = arguments.work / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    for name in PHOTOS:
        pixels = read_image(Path(str(importlib.resources.files("skimage") / "data" / name))).pixels
        write_image(photos / f"{Path(name).stem}.png", Picture(pixels[:SIDE, :SIDE, :3].copy()))
    configuration = arguments.work / "short.toml"
    configuration.write_text(CONFIGURATION.format(steps=arguments.steps), encoding="utf-8")

    command = [sys.executable, "-c", "from spair.cli.main import main; main()", "train", str(configuration)]
    subprocess.run([*command, "--out", str(arguments.work / "runs"), "--threads", "1"], check=True)
    size = (arguments.work / "runs" / "short" / "short.safetensors").stat().st_size
    print(f"trained {arguments.steps} steps; the checkpoint has {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
