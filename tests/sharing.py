"""Things that all workers of a run of the tests use, made once."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def share(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that the first worker to ask for it fills.

    The others wait. Tests that change what lies in it work on a copy.

    Args:
        factory: pytest's.
        name: name of the folder, of its own in the whole suite.
        make: writes into the empty folder; where it fails, the next one to ask tries again.
    """
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / f"shared-{name}"
    with (base / f"shared-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            work = factory.mktemp(name)
            make(work)
            work.rename(folder)
    return folder


def share_bundle(factory: pytest.TempPathFactory, name: str, checkpoint: Path) -> Path:
    """Return the bundle of a checkpoint, see `share`.

    The checkpoint that it was made of lies beside it.
    """
    from spair.export.exporter import export_checkpoint

    def make(folder: Path) -> None:
        shutil.copyfile(checkpoint, folder / checkpoint.name)
        export_checkpoint(checkpoint, folder / f"{checkpoint.stem}.spair")

    return share(factory, name, make) / f"{checkpoint.stem}.spair"
