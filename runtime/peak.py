"""Peak memory of restoring one picture, measured in a process of its own: high-water marks never go down again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np


def measure_peak_memory(
    bundle: Path, image: np.ndarray, *, precision: str, threads: int | None, tile: int | None
) -> float:
    """Peak resident memory of a fresh process that opens a bundle and restores a picture once.

    Args:
        bundle: the bundle's folder.
        image: a picture as `Restorer` takes it; the network finds its mask.
        precision: see `Restorer.open`, as threads and tile.

    Returns:
        Units of 2**20 bytes; interpreter, libraries, graphs and the picture included.

    Raises:
        MemoryError: the process failed; the message has its last words.
    """
    with tempfile.TemporaryDirectory(prefix="spair-") as folder:
        file = Path(folder) / "image.npy"
        np.save(file, image)
        options = json.dumps({"precision": precision, "threads": threads, "tile": tile})
        command = [sys.executable, "-m", __name__, str(bundle.absolute()), str(file), options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise MemoryError(f"a process that restores one picture of {bundle} failed: {words[-1]}")
    return float(done.stdout.splitlines()[-1])


def read_peak_memory(status: Path = Path("/proc/self/status")) -> float:
    """Peak resident memory of this process in units of 2**20 bytes."""
    # Linux passes ru_maxrss on from the process that started this one; VmHWM begins anew.
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.is_file() else None
    if found:
        return int(found[1]) / 2**10
    import resource  # there is none on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, kB elsewhere


def main(bundle: str, file: str, options: str) -> None:
    """The fresh process: restore and print the peak."""
    from .restorer import Restorer

    with Restorer.open(bundle, **json.loads(options)) as restorer:
        restorer(np.load(file))
    print(read_peak_memory())


if __name__ == "__main__":
    main(*sys.argv[1:])
