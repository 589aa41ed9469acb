"""Choice of the exporter for a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..network.checkpoint import is_spair
from ..runtime.bundle.writer import check_target
from ..runtime.clock import ReportProgress
from ..runtime.errors import UserError
from .exporter import export_checkpoint, export_foreign, export_known
from .foreign import ForeignInterface


def export_any(
    checkpoint: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    factory: str | None = None,
    preset: str | None = None,
    said: Mapping[str, Any] | None = None,
    key: str | None = None,
    task: str | None = None,
    force: bool = False,
    progress: ReportProgress = lambda step: None,
) -> dict[str, Any]:
    """Export a checkpoint of any network.

    Args:
        checkpoint: see `export_checkpoint`.
        out: see `export_checkpoint`.
        factory: function that builds the network, see `build_network`; None for SPAIR and for networks that are
            recognised by their weights.
        preset: network size of SPAIR, where the file does not name it.
        said: fields of `ForeignInterface` that describe a network other than SPAIR.
        key: see `export_checkpoint`.
        task: see `export_checkpoint`.
        force: see `export_checkpoint`.
        progress: see `export_checkpoint`.

    Returns:
        The JSON of `spair export`.

    Raises:
        CheckpointError, UserError: the input is unusable, or the arguments do not fit it; nothing was written.
        GateError: see `export_checkpoint`.
    """
    if factory is not None:
        interface = ForeignInterface(**(said or {}))
        return export_foreign(
            checkpoint, factory, out, interface=interface, key=key, task=task or "", force=force, progress=progress
        )
    check_target(Path(out), force)
    if preset is None and not is_spair(checkpoint, key=key):
        return export_known(checkpoint, out, said=said, key=key, task=task or "", force=force, progress=progress)
    if said:
        raise UserError(
            f"{checkpoint} is a checkpoint of SPAIR, and --input, --output, --multiple, --min-size, --picture, "
            "--side-input, --output-range, --colour and --sizes describe other networks; leave them out"
        )
    return export_checkpoint(checkpoint, out, preset=preset, key=key, task=task, force=force, progress=progress)
