"""First bytes of an engine's file.

TensorRT writes its version there, so that a file of another version can be named without loading it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import UserError

FAMILIES = {b"ftrt": "tensorrt", b"vtrt": "tensorrt_rtx"}
"""Packages by the first four bytes of their engines."""
_VERSION = slice(24, 28)
"""Bytes with major, minor, patch and build number, as trtexec --getPlanVersionOnly reads them. The engines of
TensorRT-RTX are not known to have them there."""


@dataclass(frozen=True)
class PlanHeader:
    """First bytes of an engine, decoded."""

    package: str
    """Python package that reads the engine, "tensorrt" or "tensorrt_rtx"."""
    version: tuple[int, ...] | None
    """Major, minor, patch and build number modulo 256; None where the file does not say."""


def read_header(plan: bytes, where: str) -> PlanHeader:
    """Read the first bytes of an engine.

    Args:
        plan: the file's content.
        where: path of the file, for messages.

    Raises:
        UserError: it is no engine.
    """
    package = FAMILIES.get(bytes(plan[:4]))
    if package is None or len(plan) < _VERSION.stop:
        raise UserError(f"{where} is no engine of TensorRT: it begins with {bytes(plan[:4])!r}; build it again")
    return PlanHeader(package, tuple(plan[_VERSION]) if package == "tensorrt" else None)


def check_plan(plan: bytes, where: str, package: str, version: str) -> None:
    """Refuse an engine of another TensorRT before it is loaded.

    Args:
        plan: the file's content.
        where: path of the file, for messages.
        package: Python package that shall load it.
        version: version of that package, such as "10.3.0".

    Raises:
        UserError: it is no engine, or one of another package or version; the message names both.
    """
    header = read_header(plan, where)
    if header.package != package:
        raise UserError(f"{where} is an engine of {header.package}, and {package} is used here; build it again")
    numbers = [int(number) % 256 for number in re.findall(r"\d+", version)[:3]]
    if header.version is not None and list(header.version[:3]) != numbers:
        found = ".".join(map(str, header.version[:3]))
        raise UserError(
            f"{where} was built by TensorRT {found}, and {version} is installed; engines run on the version that built "
            "them: build it again with spair build BUNDLE --target local"
        )
