"""Folder of files for Polygraphy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...plugins.compiler.library.autoload import AUTOLOAD
from ...runtime.bundle.engines import WHOLE
from ...runtime.bundle.reader import Bundle
from ...runtime.bundle.writer import Content, write_contents
from ...runtime.clock import ReportProgress
from ...runtime.errors import UserError
from ...temporary.places import place_beside
from .commands import EngineFacts, format_commands
from .graphs import make_graphs
from .pictures import cut_small, format_json, format_npz, make_pictures
from .readme import format_readme
from .stored import EngineFiles, check_graphs, find_largest, list_engines
from .thresholds import ReferenceNetwork, Thresholds, derive_thresholds

_EXACT = "fp32"


def write_polygraphy(
    path: Path,
    folder: Path,
    progress: ReportProgress = lambda step: None,
    *,
    expect_digest: Collection[str] = (),
) -> dict[str, Any]:
    """Write a folder that Polygraphy takes without our code.

    It has the engines of a bundle with their plugin libraries, their graphs, pictures, a data loader script, command
    lines, and a page README.md on all of them. A failure leaves the place as it was.

    Args:
        path: the bundle.
        folder: the folder to make; it may exist if it is empty.
        progress: called before each step.
        expect_digest: see `Bundle.open`.

    Returns:
        "folder", "files" (their names in it), "pictures" (for each its "width", "height" and "masked", the share of its
        pixels that FP32 restores, 0..1) and "thresholds" (by precision in dB, see `Thresholds`).

    Raises:
        UserError: the folder is not empty or cannot be written; the bundle holds a foreign network or no engine, or one
            that was built from other graphs; a file was changed; the network restores no pixel.
    """
    check_folder(folder)
    bundle = Bundle.open(path, expect_digest=expect_digest)
    engines = list_engines(bundle)
    precisions = list(dict.fromkeys(one.key.precision for one in engines))
    progress("preparing graphs")
    graphs = {precision: make_graphs(bundle.graph(precision, WHOLE)) for precision in precisions}
    check_graphs(bundle, engines, {precision: kinds[""] for precision, kinds in graphs.items()})
    pictures = make_pictures(find_largest(engines))
    exact = ReferenceNetwork(bundle.graph(_EXACT, WHOLE))
    masks = [exact.restore(picture)[1] for picture in pictures]
    thresholds = {}
    for precision in precisions:
        progress(f"restoring pictures in {precision}")
        lower = precision != _EXACT
        network = ReferenceNetwork(bundle.graph(precision, WHOLE)) if lower else exact
        thresholds[precision] = derive_thresholds(network, exact if lower else None, pictures)
    files: dict[str, Content] = {
        **_collect_pictures(pictures, masks),
        **{f"graphs/{name}{kind}.onnx": data for name, kinds in graphs.items() for kind, data in kinds.items()},
        **_collect_engines(engines, thresholds),
    }
    report = _report(folder, files, pictures, masks, thresholds)
    files["README.md"] = format_readme(report).encode()
    _write(folder, files)
    return report


def check_folder(folder: Path) -> None:
    """Refuse a place for the folder.

    Raises:
        UserError: it is a file or a folder with files in it.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError(f"cannot write {folder}: a file or link of that name exists; choose another --polygraphy")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"cannot write into {folder}: the folder is not empty; choose another --polygraphy")


def _collect_pictures(pictures: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> dict[str, Content]:
    return {
        "inputs.json": format_json(pictures),
        "inputs.npz": format_npz(pictures),
        "small.json": format_json([cut_small(pictures[0], masks[0])]),
        "loader.py": Path(__file__).with_name("loader.py"),
    }


def _collect_engines(engines: Sequence[EngineFiles], thresholds: Mapping[str, Thresholds]) -> dict[str, Content]:
    """Collect engines, libraries and command lines."""
    files: dict[str, Content] = {}
    facts: dict[str, list[EngineFacts]] = {}
    for one in engines:
        entry = EngineFacts(one.key, thresholds[one.key.precision])
        facts.setdefault(one.key.target, []).append(entry)
        files[entry.engine] = one.engine
        files[entry.library] = one.library
        files[str(Path(entry.library).with_name(AUTOLOAD))] = one.autoload
    return files | {f"commands-{target}.txt": format_commands(entries).encode() for target, entries in facts.items()}


def _report(
    folder: Path,
    files: Mapping[str, Content],
    pictures: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    thresholds: Mapping[str, Thresholds],
) -> dict[str, Any]:
    shown = [
        {"width": picture.shape[1], "height": picture.shape[0], "masked": round(float(mask.mean()), 4)}
        for picture, mask in zip(pictures, masks, strict=True)
    ]
    return {
        "folder": str(folder),
        "files": sorted([*files, "README.md"]),
        "pictures": shown,
        "thresholds": {precision: found.to_json() for precision, found in thresholds.items()},
    }


def _write(folder: Path, files: Mapping[str, Content]) -> None:
    """Write all files or none."""
    try:
        with place_beside(folder.absolute()) as temporary:
            write_contents(temporary, files)
            if folder.is_dir():
                folder.rmdir()
            temporary.rename(folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}; choose another --polygraphy") from error
