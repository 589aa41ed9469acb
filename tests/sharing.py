"""Things that all workers of a run of the tests use, made once."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
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


def share_changed_bundle(
    factory: pytest.TempPathFactory, name: str, bundle: Path, weights: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> Path:
    """Return a bundle with other values of some weights, see `share`.

    An export takes twenty times as long. Weights lie in the files of a bundle as they are in the checkpoint, so old
    bytes give way to new ones.

    Args:
        factory: pytest's.
        name: see `share`.
        bundle: an exported bundle, which stays as it is.
        weights: old and new values by name, of one size; long enough that their bytes stand nowhere else.
    """
    from spair.runtime import Bundle
    from spair.runtime.bundle.writer import write_bundle

    def make(folder: Path) -> None:
        exported = Bundle.open(bundle)
        files = {file: path.read_bytes() for file, path in exported.contents().items()}
        for weight, values in weights.items():
            old, new = (np.ascontiguousarray(value, np.float32).tobytes() for value in values)
            assert len(old) == len(new) >= 48
            holders = [file for file, content in files.items() if old in content]
            assert len(holders) > 1, f"{weight} of {bundle} stands in {holders} alone"
            files |= {file: files[file].replace(old, new) for file in holders}
        write_bundle(folder / f"{name}.spair", {**exported.manifest.raw, "name": name}, files)

    return share(factory, name, make) / f"{name}.spair"


def reuse_graphs(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next export of a checkpoint take the graphs of its bundle, where PyTorch's exporter is not the subject.

    All that comes before and after is as ever: operators are counted, graphs packed and compared with PyTorch.
    """
    import onnx

    from spair.export import exporter
    from spair.runtime import Bundle

    exported = Bundle.open(bundle)
    graphs = iter(onnx.load(exported.graph("fp32", part)) for part in ("model", "net_l", "net_r"))
    monkeypatch.setattr(exporter, "export_graph", lambda spec: next(graphs))
