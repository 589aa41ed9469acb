"""A Debian for ARM on another processor: PRoot shows its files, QEMU runs its programs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from spair.runtime.cpu.library.sets import NEON, NEON_BF16, NEON_DOT, InstructionSet
from tests.aarch64.packages import PYTHON, SetupError, find_program, find_root, find_wheels
from tests.architecture.tree import ROOT


@dataclass(frozen=True)
class Processor:
    """One that QEMU emulates."""

    name: str
    kernels: InstructionSet
    """The best set that it runs."""
    part: str
    """Its number in /proc/cpuinfo."""


MAX = Processor("max", NEON_BF16, "0xd4f")
"""Everything that QEMU knows."""
PROCESSORS = (Processor("cortex-a57", NEON, "0xd07"), Processor("cortex-a76", NEON_DOT, "0xd0b"), MAX)
"""The Cortex-A76 has what a Jetson Orin's Cortex-A78AE has."""


class System:
    """An environment of Python in a Debian for ARM."""

    def __init__(self, folder: Path, *visible: Path) -> None:
        """Make the environment, with pip alone in it.

        Args:
            folder: takes the environment; commands run there.
            visible: further folders that programs see.
        """
        find_program("qemu-aarch64", "qemu-user")
        self._proot, self._root, self._wheels = find_program("proot", "proot"), find_root(), find_wheels()
        self.folder, self._environment = folder, folder / "environment"
        self._visible = (folder, self._wheels, ROOT, *visible)
        self._check("/usr/bin/python3", "-m", "venv", self._environment)

    def install(self, wheel: Path) -> None:
        """Install a wheel, and what it asks for, without the network."""
        options = ("--no-index", "--find-links", self._wheels, "--disable-pip-version-check")
        self._check("python", "-m", "pip", "install", *options, wheel)

    def list_packages(self) -> set[str]:
        """Names of the installed packages, as their metadata writes them."""
        folders = (self._environment / "lib" / f"python{PYTHON}" / "site-packages").glob("*.dist-info")
        return {folder.name.partition("-")[0].lower() for folder in folders}

    def run(self, *words: object, processor: Processor = MAX) -> subprocess.CompletedProcess[str]:
        """Run a program of the system, or of its environment.

        Folders have the name that they have outside, since PRoot 5.1 does not translate the names that
        `os.access` asks about.
        """
        listing = self.folder / "cpuinfo"
        listing.write_text("".join(describe(processor, number) for number in range(2)))
        places = ("/dev", "/proc", f"{listing}:/proc/cpuinfo", *self._visible)
        options = ["-q", f"qemu-aarch64 -cpu {processor.name}", "-r", str(self._root), "-w", str(self.folder)]
        command = [self._proot, *options, *(f"--bind={place}" for place in places), *map(str, words)]
        environment = {
            "PATH": f"{self._environment}/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "LANG": "C.UTF-8",
        }
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    def _check(self, *words: object) -> None:
        done = self.run(*words)
        if done.returncode:
            raise SetupError(f"{' '.join(map(str, words))} failed on ARM: {done.stdout}{done.stderr}")


def describe(processor: Processor, number: int) -> str:
    """Write the lines of a core in /proc/cpuinfo, which otherwise are those of the machine outside."""
    lines = (
        f"processor\t: {number}",
        f"Features\t: {' '.join(('fp', 'asimd', *processor.kernels.features))}",
        "CPU implementer\t: 0x41",
        "CPU architecture: 8",
        "CPU variant\t: 0x0",
        f"CPU part\t: {processor.part}",
        "CPU revision\t: 0",
    )
    return "\n".join((*lines, "", ""))
