"""Take a foreign network through training, export and restoration."""

import argparse
import importlib.resources
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from denoiser import build
from torch.nn import functional

from spair.runtime import Restorer, read_image

HERE = Path(__file__).resolve().parent
NOISE = 0.08


def read_photo(name: str) -> np.ndarray:
    """Read a photograph of scikit-image.

    The result is [256, 256, 3] float32 in 0..1.
    """
    pixels = read_image(Path(str(importlib.resources.files("skimage") / "data" / name))).pixels
    return pixels[:256, :256, :3].astype(np.float32) / np.float32(255)


def train(checkpoint: Path, steps: int) -> None:
    """Train the network on one photograph and save it."""
    torch.manual_seed(0)
    model = build()
    clean = torch.from_numpy(read_photo("astronaut.png").transpose(2, 0, 1)[None].copy())
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        top, left = torch.randint(0, 256 - 96, (2,)).tolist()
        crop = clean[..., top : top + 96, left : left + 96]
        loss = functional.mse_loss(model(crop + NOISE * torch.randn_like(crop)), crop)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.save(model.state_dict(), checkpoint)


def psnr(picture: np.ndarray, clean: np.ndarray) -> float:
    """Return the PSNR of two pictures in 0..1, in dB."""
    return float(-10 * np.log10(np.mean((picture - clean) ** 2)))


def main() -> None:
    """Train, export with --factory, and restore another photograph."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"), help="folder for the checkpoint and the bundle")
    parser.add_argument("--steps", type=int, default=200, help="training steps")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    checkpoint, bundle = (arguments.work / name for name in ("denoiser.pth", "denoiser.spair"))

    train(checkpoint, arguments.steps)
    # The factory is looked up in the current folder, so the command runs in the folder of denoiser.py.
    command = [sys.executable, "-c", "from spair.cli.main import main; main()", "export", str(checkpoint.resolve())]
    command += ["--factory", "denoiser:build", "--out", str(bundle.resolve()), "--task", "noise", "--force"]
    subprocess.run(command, cwd=HERE, check=True)

    clean = read_photo("coffee.png")
    noise = np.random.default_rng(1).normal(0.0, NOISE, clean.shape).astype(np.float32)
    noisy = np.clip(clean + noise, 0.0, 1.0)
    with Restorer.open(bundle) as restorer:
        result = restorer(noisy)
    print(f"PSNR {psnr(noisy, clean):.2f} dB with noise, {psnr(result.image, clean):.2f} dB restored")
    print(f"mask: {result.mask}")


if __name__ == "__main__":
    main()
