"""Peak memory of restoring one picture.

It is measured in a separate process, because the peak of a process never goes down again.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...temporary.places import scratch_folder
from ..children import make_module_command


class Peak(NamedTuple):
    """Peak memory, or the reason why it is not known."""

    mb: float | None
    """Peak memory in units of 2**20 bytes; None if it is not known."""
    failure: str | None = None
    """Reason in one line if `mb` is None."""


def measure_peak_memory(
    bundle: Path,
    image: np.ndarray,
    *,
    precision: str,
    threads: int | None,
    tile: int | None,
    backend: str = "onnxruntime",
) -> Peak:
    """Measure the peak resident memory of restoring a picture.

    A fresh process opens the bundle and restores the picture once. Its memory includes interpreter, libraries, graphs
    and picture.

    Args:
        bundle: folder of the bundle.
        image: picture as `Restorer` takes it; the network finds its mask.
        precision: see `Restorer.open`.
        threads: see `Restorer.open`.
        tile: see `Restorer.open`.
        backend: see `Restorer.open`.

    Returns:
        The peak. If the process cannot be started or fails, for example because memory runs out, that is not an error,
        but the reason why the peak is not known.
    """
    try:
        options = {"precision": precision, "threads": threads, "tile": tile, "backend": backend}
        done = _restore_elsewhere(bundle, image, options)
    except OSError as error:  # the disk has no room for the picture, or the system none for another process
        return Peak(None, f"a separate process cannot be started: {error}")
    if done.returncode < 0:
        return Peak(None, f"the process was ended by signal {-done.returncode}; 9 is sent when memory runs out")
    if done.returncode > 0:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return Peak(None, f"the process failed: {words[-1]}")
    return Peak(float(done.stdout.splitlines()[-1]))


def _restore_elsewhere(
    bundle: Path, image: np.ndarray, options: Mapping[str, object]
) -> subprocess.CompletedProcess[str]:
    with scratch_folder("profile") as folder:
        file = folder / "image.npy"
        np.save(file, image)
        command = make_module_command(__name__, str(bundle.absolute()), str(file), json.dumps(options))
        return subprocess.run(command, capture_output=True, text=True, check=False)


def read_peak_memory(status: Path = Path("/proc/self/status")) -> float:
    """Read the peak resident memory of this process.

    Args:
        status: file of Linux.

    Returns:
        The memory in units of 2**20 bytes.
    """
    # On Linux ru_maxrss is inherited from the process that started this one, but VmHWM begins anew.
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.is_file() else None
    if found:
        return int(found[1]) / 2**10
    import resource  # Windows has no such module

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, kB elsewhere


def main(bundle: str, file: str, options: str) -> None:
    """Restore a picture and print the peak memory."""
    from ..restorer import Restorer

    with Restorer.open(bundle, **json.loads(options)) as restorer:
        restorer(np.load(file))
    print(read_peak_memory())


if __name__ == "__main__":
    main(*sys.argv[1:])
