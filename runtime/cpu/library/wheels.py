"""Wheels that bring the library of kernels along.

Run as a module: `python -m spair.runtime.cpu.library.wheels FILE.whl` writes one wheel for each architecture beside the
plain wheel, which stays the one for all others; without a file it makes the library of this machine in a checkout.
"""

from __future__ import annotations

import base64
import hashlib
import platform
import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ....temporary.places import scratch_folder
from ...errors import UserError
from ...files import replace_atomically
from .ready import MACHINES, find_cross_compiler, make_ready

GLIBC = (2, 17)
"""Oldest version of the C library that the wheels' libraries may ask for, as their names promise."""
TAGS = ("manylinux_2_17", "manylinux2014")
"""Both names of the systems with that version."""
PLACE = "spair/runtime/cpu/library/ready"
"""Folder of the library in a wheel."""
_PLAIN = "py3-none-any"


def make_platform_wheel(plain: Path, machine: str) -> Path:
    """Add the library for an architecture to a wheel.

    Args:
        plain: a wheel for all machines, NAME-VERSION-py3-none-any.whl.
        machine: one of `MACHINES`.

    Returns:
        The new wheel, beside the plain one.

    Raises:
        UserError: the wheel is not plain; there is no compiler, or it fails; the library asks for a newer C library.
    """
    if not plain.name.endswith(f"-{_PLAIN}.whl"):
        raise UserError(f"{plain} is not a wheel for all machines, expected a name that ends with -{_PLAIN}.whl")
    tags = [f"{tag}_{machine}" for tag in TAGS]
    target = plain.with_name(plain.name.replace(f"-{_PLAIN}", f"-py3-none-{'.'.join(tags)}"))
    with scratch_folder("wheel") as folder:
        library = make_ready(machine, folder)
        check_needs(library)
        with replace_atomically(target) as temporary:
            _rewrite(plain, temporary, library, tags)
    return target


def check_needs(library: Path) -> None:
    """Refuse a library that old systems cannot load.

    Raises:
        UserError: it asks for the standard library of C++, or for a later version of the C library than `GLIBC`.
    """
    content = library.read_bytes()
    versions = {tuple(map(int, found.split(b"."))) for found in re.findall(rb"GLIBC_(\d+(?:\.\d+)+)", content)}
    newest = max(versions, default=GLIBC)
    library_of_cpp = " and libstdc++" if b"GLIBCXX_" in content or b"CXXABI_" in content else ""
    if newest > GLIBC or library_of_cpp:
        raise UserError(
            f"{library.name} needs glibc {'.'.join(map(str, newest))}{library_of_cpp}, expected glibc "
            f"{'.'.join(map(str, GLIBC))} alone; see plugins/cpu/pool.cpp"
        )


def _rewrite(plain: Path, target: Path, library: Path, tags: Sequence[str]) -> None:
    """Copy a wheel with one file more and other tags."""
    record: list[str] = []
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:

        def add(entry: zipfile.ZipInfo, content: bytes) -> None:
            made.writestr(entry, content, zipfile.ZIP_DEFLATED)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{entry.filename},sha256={digest},{len(content)}")

        for entry in source.infolist():
            if entry.filename.endswith(".dist-info/RECORD"):
                last = entry
                continue
            content = source.read(entry)
            add(entry, _retag(content, tags) if entry.filename.endswith(".dist-info/WHEEL") else content)
        own = zipfile.ZipInfo(f"{PLACE}/{library.name}", last.date_time)
        own.external_attr = 0o100755 << 16
        add(own, library.read_bytes())
        made.writestr(last, "\n".join([*record, f"{last.filename},,", ""]))


def _retag(content: bytes, tags: Sequence[str]) -> bytes:
    lines = [line for line in content.decode().splitlines() if not line.startswith(("Root-Is-Purelib:", "Tag:"))]
    lines = [line for line in lines if line] + ["Root-Is-Purelib: false", *(f"Tag: py3-none-{tag}" for tag in tags)]
    return "\n".join([*lines, ""]).encode()


def main(words: Sequence[str]) -> int:
    """Make wheels of a plain one, or this checkout's library.

    An architecture without a compiler is left out, with a sentence on stderr.
    """
    made = 0
    for machine in MACHINES if words else (platform.machine(),):
        if find_cross_compiler(machine) is None:
            print(f"no kernels for {machine}: there is no compiler for it", file=sys.stderr)
            continue
        print(make_platform_wheel(Path(words[0]), machine) if words else make_ready(machine))
        made += 1
    return 0 if made or not words else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
