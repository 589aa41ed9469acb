"""Peak memory of restoring one picture, measured in a process of its own: high-water marks never go down again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..children import make_module_command


class Peak(NamedTuple):
    """Peak memory, or why there is none."""

    mb: float | None
    """Units of 2**20 bytes."""
    failure: str | None = None
    """One line where mb is None."""


def measure_peak_memory(
    bundle: Path, image: np.ndarray, *, precision: str, threads: int | None, tile: int | None
) -> Peak:
    """Peak resident memory of a fresh process that opens a bundle and restores a picture once.

    Args:
        bundle: the bundle's folder.
        image: a picture as `Restorer` takes it; the network finds its mask.
        precision: see `Restorer.open`, as threads and tile.

    Returns:
        Interpreter, libraries, graphs and the picture included; a process that cannot be started or fails, for want
        of memory or whatever else, is no error but the reason why there is no number.
    """
    try:
        done = _restore_elsewhere(bundle, image, {"precision": precision, "threads": threads, "tile": tile})
    except OSError as error:  # no room for the picture's file, or none for another process
        return Peak(None, f"a process of its own cannot be started: {error}")
    if done.returncode < 0:
        return Peak(None, f"the process was ended by signal {-done.returncode}; 9 is sent when memory runs out")
    if done.returncode > 0:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return Peak(None, f"the process failed: {words[-1]}")
    return Peak(float(done.stdout.splitlines()[-1]))


def _restore_elsewhere(bundle: Path, image: np.ndarray, options: dict[str, object]) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="spair-") as folder:
        file = Path(folder) / "image.npy"
        np.save(file, image)
        command = make_module_command(__name__, str(bundle.absolute()), str(file), json.dumps(options))
        return subprocess.run(command, capture_output=True, text=True, check=False)


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
    from ..restorer import Restorer

    with Restorer.open(bundle, **json.loads(options)) as restorer:
        restorer(np.load(file))
    print(read_peak_memory())


if __name__ == "__main__":
    main(*sys.argv[1:])
