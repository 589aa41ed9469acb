"""Files that others could write are refused, with the command that mends it."""

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from spair.runtime import UserError
from spair.runtime.trust import ownership
from spair.runtime.trust.ownership import check_ownership

PLACE = Path("/cache")


def status(mode, owner=None, group=4711):
    return SimpleNamespace(st_uid=os.geteuid() if owner is None else owner, st_gid=group, st_mode=stat.S_IFREG | mode)


@pytest.fixture
def groups(monkeypatch):
    """Pretend that a group exists, and that this user is called ada."""
    import grp
    import pwd

    def pretend(name, *members):
        monkeypatch.setattr(grp, "getgrgid", lambda number: SimpleNamespace(gr_name=name, gr_mem=list(members)))
        monkeypatch.setattr(pwd, "getpwuid", lambda number: SimpleNamespace(pw_name="ada"))

    return pretend


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_what_nobody_else_can_write_is_fine(mode):
    check_ownership(PLACE, status(mode))
    check_ownership(PLACE, status(mode, owner=0))


@pytest.mark.parametrize("mode", [0o602, 0o622, 0o777])
def test_what_others_can_write_is_refused(groups, mode):
    groups("ada")
    with pytest.raises(UserError, match=f"other users can write it .mode {mode:03o}.; run: chmod go-w /cache"):
        check_ownership(PLACE, status(mode))


@pytest.mark.parametrize(
    ("name", "members", "own"),
    [("ada", (), True), ("ada", ("ada",), True), ("ada", ("bob",), False), ("staff", (), False)],
)
def test_a_group_of_ones_own_is_not_others(groups, name, members, own):
    groups(name, *members)
    if own:
        check_ownership(PLACE, status(0o664))
    else:
        with pytest.raises(UserError, match="chmod go-w"):
            check_ownership(PLACE, status(0o664))


def test_a_group_without_a_name_is_others(monkeypatch):
    def fail(number):
        raise KeyError(number)

    monkeypatch.setattr("grp.getgrgid", fail)
    with pytest.raises(UserError, match="mode 660"):
        check_ownership(PLACE, status(0o660))


def test_another_users_file_is_refused():
    with pytest.raises(UserError, match=r"belongs to another user .number 4242.; set SPAIR_CACHE"):
        check_ownership(PLACE, status(0o600, owner=4242))


def test_systems_without_modes_are_not_asked(monkeypatch):
    monkeypatch.setattr(ownership, "POSIX", False)
    check_ownership(PLACE, status(0o777, owner=4242))
