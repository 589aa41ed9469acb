"""Downloads of a Debian for ARM and of a user's wheels."""

from __future__ import annotations

import configparser
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.architecture.tree import ROOT
from tests.emulated.setup.cache import make_once

SUITE = "bookworm"
PYTHON = "3.11"
"""Its version of Python."""
MANYLINUX = [f"manylinux_2_{minor}_aarch64" for minor in range(17, 37)]
"""Systems whose wheels it takes; its C library is glibc 2.36."""
PACKAGES = "python3-venv"
"""All that is installed beside Debian's essential packages."""
SOURCE = "pyvips"
"""The one package without a wheel: pip builds it where it is installed, from Python alone."""
FOR_SOURCE = ("pyvips-binary", "cffi", "setuptools", "pkgconfig")
"""Packages that it needs, and that building it takes."""


class SetupError(RuntimeError):
    """Program or package that cannot be had here; the message says which."""


def find_program(name: str, package: str) -> str:
    """Find a program of the system.

    Raises:
        SetupError: it is not installed.
    """
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise SetupError(f"{name} is not installed; on Debian and Ubuntu: apt-get install {package}")
    return found


def find_root() -> Path:
    """Return the folder with a Debian for ARM.

    No program of it has run: its packages are unpacked, and not configured. That takes no rights of root.
    """
    debootstrap, unpack = find_program("debootstrap", "debootstrap"), find_program("dpkg-deb", "dpkg")

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder.parent) as downloads:
            options = ["--download-only", "--arch=arm64", "--variant=minbase", f"--include={PACKAGES}"]
            run([debootstrap, *options, SUITE, downloads], f"Debian {SUITE} for ARM cannot be downloaded")
            for package in sorted(Path(downloads).rglob("*.deb")):
                run([unpack, "--extract", str(package), str(folder)], f"{package.name} cannot be unpacked")
        for name in ("possible", "present"):  # of what ONNX Runtime reads
            place = folder / "sys" / "devices" / "system" / "cpu" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("0-1\n")

    return make_once(f"aarch64-{SUITE}-{_hash(PACKAGES)}", make)


def find_wheels() -> Path:
    """Return the folder with the packages that spair-rt asks for.

    They are those of a plain installation alone, in the versions of constraints.txt.
    """
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    asked = config["options"]["install_requires"].split()
    compiled = [one for one in asked if not one.startswith(SOURCE)] + list(FOR_SOURCE)
    constraints = ROOT / "constraints.txt"

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--dest", str(folder), "-c", str(constraints)]
        platforms = [f"--platform={name}" for name in (*MANYLINUX, "manylinux2014_aarch64")]
        wheels = ["--only-binary=:all:", f"--python-version={PYTHON}", *platforms]
        run([*command, *wheels, *compiled], "the wheels for ARM cannot be downloaded")
        run([*command, "--no-deps", SOURCE], f"{SOURCE} cannot be downloaded")

    return make_once(f"aarch64-wheels-{_hash(constraints.read_text(encoding='utf-8'), *asked, *FOR_SOURCE)}", make)


def run(command: Sequence[str], failure: str) -> None:
    """Run a program.

    Raises:
        SetupError: it failed; the message has its last line.
    """
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=False)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "it says nothing").splitlines()
        raise SetupError(f"{failure}: {lines[-1]}")


def _hash(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]
