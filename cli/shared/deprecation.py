"""Old names of options, which work but warn."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from .output import tell

Value = TypeVar("Value")


class Renamed(NamedTuple):
    """Option with a hidden old name."""

    old: str
    new: str
    since: str
    """Version of spair-rt in which the new name came."""
    until: str
    """Version of spair-rt in which the old name goes."""


TARGET = Renamed("--target", "--clean", since="0.1", until="0.3")
"""Folder of clean pictures of `spair evaluate`; `--target` means a machine in all other verbs."""

TARGETS = Renamed("--targets", "--clean", since="0.1", until="0.3")
"""Folder of clean pictures of `spair calibrate`."""

RENAMED = (TARGET, TARGETS)


def take_renamed(given: Value | None, old: Value | None, renamed: Renamed) -> Value | None:
    """Take an option's value under either of its names.

    Raises:
        UserError: both names were given.
    """
    from ...runtime.errors import UserError

    if old is None:
        return given
    if given is not None:
        raise UserError(f"{renamed.old} is the old name of {renamed.new}, got both; give {renamed.new} alone")
    tell(
        f"warning: {renamed.old} is called {renamed.new} since spair-rt {renamed.since}; "
        f"the old name goes with {renamed.until}"
    )
    return old
