"""Check of who can write a file or folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import UserError, quote

POSIX = os.name == "posix"
"""Whether files have owners and modes; on other systems nothing is checked."""


def check_ownership(path: Path, status: os.stat_result) -> None:
    """Refuse a file or folder that others can write.

    The owner must be this user or root. The group may write it only if it is this user's own group, which has the
    user's name and no other members, as many Linux systems make one for each user.

    Args:
        path: file or folder, for the message.
        status: what the system says about it, best about the open file itself.

    Raises:
        UserError: it belongs to another user, or others may write it; the message says how to mend that.
    """
    if not POSIX:
        return
    if status.st_uid not in (os.geteuid(), 0):
        raise UserError(
            f"{path} says what may run as code, but belongs to another user (number {status.st_uid}); set SPAIR_CACHE "
            "to a folder of your own"
        )
    foreign_group = status.st_mode & stat.S_IWGRP and not _is_own_group(status.st_gid)
    if foreign_group or status.st_mode & stat.S_IWOTH:
        mode = stat.S_IMODE(status.st_mode)
        raise UserError(
            f"{path} says what may run as code, but other users can write it (mode {mode:03o}); "
            f"run: chmod go-w {quote(path)}, and delete it first if you do not know who wrote there"
        )


def _is_own_group(number: int) -> bool:
    import grp
    import pwd

    try:
        group, user = grp.getgrgid(number), pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # numbers without names, as in a container
        return False
    return group.gr_name == user and set(group.gr_mem) <= {user}
