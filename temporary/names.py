"""Names of temporary files and folders.

They are `.NAME.OWNER.tmp` beside NAME, and `spair-PURPOSE.OWNER.tmp` in the folder for temporary files. OWNER says
which process made them, so that a later one can remove what a dead one left. An older folder that is being replaced is
called `.NAME.OWNER.old` for a moment. `.NAME.OWNER.part` holds finished parts of NAME, for a later process to go on.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from .owners import Owner, this_process

TEMPORARY, BACKUP, PARTIAL = "tmp", "old", "part"
"""Kinds of names: half-written content, an older folder that is being replaced, and finished parts."""
SCRATCH = "spair-"
"""Beginning of names in the folder for temporary files."""

_NAME = re.compile(
    r"(?P<stem>.+)\.(?P<process>[0-9a-f]{1,8})-(?P<start>[0-9a-f]{1,16})-(?P<place>[0-9a-f]{8})-[0-9a-f]{8}"
    rf"\.(?P<kind>{TEMPORARY}|{BACKUP}|{PARTIAL})",
    re.DOTALL,
)
_ADDED = 64
"""Bytes that are kept free for what a temporary name has beside its target's."""
_USUAL_LIMIT = 255
"""Bytes of a name where the file system does not say."""


class TemporaryName(NamedTuple):
    """Parts of a temporary name."""

    stem: str
    """Beginning of the name, with its dot where it has one."""
    owner: Owner
    kind: str


def name_beside(target: Path, kind: str = TEMPORARY) -> Path:
    """Make a free name beside a file or folder.

    Args:
        target: the file or folder, which need not exist.
        kind: TEMPORARY, BACKUP or PARTIAL.
    """
    return target.with_name(f".{stem_of(target)}.{_make_token()}.{kind}")


def name_scratch(purpose: str) -> str:
    """Make a name in the folder for temporary files.

    Args:
        purpose: a word for people, of letters and dashes.
    """
    return f"{SCRATCH}{purpose}.{_make_token()}.{TEMPORARY}"


def parse_name(name: str) -> TemporaryName | None:
    """Read a temporary name; None for any other name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    owner = Owner(int(found["process"], 16), int(found["start"], 16), found["place"])
    return TemporaryName(found["stem"], owner, found["kind"])


def stem_of(target: Path) -> str:
    """Return what stands for a target in the names of its temporary files and its lock.

    It is the target's name. A name that leaves no room for more is cut and ends with a hash of the whole.
    """
    limit = _find_limit(target.parent) - _ADDED
    name = target.name
    content = os.fsencode(name)
    if len(content) <= limit:
        return name
    digest = hashlib.sha256(content).hexdigest()[:12]
    return f"{content[: limit - len(digest) - 1].decode('utf-8', 'ignore')}~{digest}"


def _make_token() -> str:
    owner = this_process()
    return f"{owner.process:x}-{max(owner.start, 0):x}-{owner.place}-{secrets.token_hex(4)}"


def _find_limit(folder: Path) -> int:
    try:
        return max(os.pathconf(folder, "PC_NAME_MAX"), 2 * _ADDED)
    except (OSError, ValueError, AttributeError):  # no such folder, or no such system
        return _USUAL_LIMIT
