"""Writer of bundles.

A bundle is written completely or not at all, by one writer at a time. It never replaces something that is not a
bundle.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...temporary.leftovers import settle
from ...temporary.places import place_beside
from ..bounds.files import read_text
from ..bounds.values import parse_json
from ..errors import UserError
from ..files import replace_folder, sha256
from .lock import lock_bundle
from .manifest import SCHEMA, parse_manifest
from .reader import CALIBRATED, MANIFEST, Bundle, check_name

_OWN = re.compile(r"manifest\.json|graphs/(fp32|fp16|int8)/((model|net_l|net_r)\w*\.onnx|rows\.(json|bin))")
"""Names of the files that exports and calibrations write into a bundle."""

Content = bytes | Path
"""Content of a file in a bundle, as bytes or as a file to copy."""


def write_bundle(
    path: str | os.PathLike[str],
    manifest_fields: Mapping[str, Any],
    files: Mapping[str, Content],
    *,
    force: bool = False,
) -> Bundle:
    """Write a bundle folder and open it.

    The bundle is completed in a temporary folder beside `path` before it takes its place, so a failure leaves `path` as
    it was. An old bundle and the new one change places in one step, so there is a bundle at every moment, also for
    readers and after a kill; where the system cannot do that, a kill between two renames leaves the old bundle beside
    it, and the next writer puts it back. What killed writers left behind is removed by the next one. Writers wait for
    each other, see `lock_bundle`.

    Args:
        path: the folder to make; its parent is made when missing.
        manifest_fields: the manifest without "schema" and "files", which are filled in here.
        files: path inside the bundle -> bytes, or a file to copy.
        force: replace an existing bundle; only a bundle or an empty folder is ever replaced.

    Raises:
        UserError: something exists at `path` and force is off, or it is not a bundle; a name leaves the bundle; the
            fields do not make a valid manifest; the place cannot be written.
    """
    target = Path(path)
    check_target(target, force)
    for name in files:
        check_name(name)
    with _writing(target):
        check_target(target, force)
        return _replace(target, manifest_fields, files)


def extend_bundle(
    bundle: Bundle,
    manifest_fields: Mapping[str, Any],
    files: Mapping[str, Content],
    *,
    without: tuple[str, ...] = (),
) -> Bundle:
    """Add files and manifest entries to a bundle on disk.

    It is rewritten completely or not at all, as by `write_bundle`.

    Minutes of work may lie between the opening of a bundle and this call, in which another process adds to it as well.
    Both additions are kept: the manifest is read anew, and what is given is merged into it.

    Args:
        bundle: what the additions were made from.
        manifest_fields: top-level entries. A table is merged into the table of that name, each of its keys replacing
            the old one; any other entry replaces the old one.
        files: path inside the bundle -> content; replaces the old content.
        without: files whose names start with one of these are not carried over.

    Raises:
        UserError: see `write_bundle`; a file was changed; the network was exported anew since the bundle was opened.
    """
    target = bundle.path.resolve()
    with _writing(target):
        current = Bundle.open(target)
        _check_same_network(bundle, current)
        check_target(target, force=True)
        kept = {name: path for name, path in current.contents().items() if not name.startswith(without)}
        return _replace(target, _merge(current.manifest.raw, manifest_fields), {**kept, **files})


def _merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    tables = {
        name: {**old[name], **value}
        for name, value in new.items()
        if isinstance(value, Mapping) and isinstance(old.get(name), Mapping)
    }
    return {**old, **new, **tables}


def _check_same_network(opened: Bundle, current: Bundle) -> None:
    if _exported_files(opened) != _exported_files(current):
        raise UserError(
            f"cannot add to the bundle {opened.path}: its network was exported anew while the work went on; "
            "nothing was written: run the command again"
        )


def _exported_files(bundle: Bundle) -> dict[str, str]:
    """Return the hashes of the exported graphs."""
    graphs, hashes = bundle.manifest.graphs, bundle.manifest.files
    exported = [parts for precision, parts in graphs.items() if precision not in CALIBRATED]
    return {name: hashes[name] for parts in exported for name in parts.values()}


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Hold a bundle's lock and report system errors in sentences."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock_bundle(target):
            settle(target)
            yield
    except OSError as error:
        raise UserError(
            f"cannot write the bundle {target}: {error.strerror or error}; give a place that can be written"
        ) from error


def _replace(target: Path, manifest_fields: Mapping[str, Any], files: Mapping[str, Content]) -> Bundle:
    with place_beside(target) as temporary:
        _fill(temporary, manifest_fields, files)
        replace_folder(temporary, target)
    return Bundle.open(target)


def check_target(target: Path, force: bool) -> None:
    """Check that a bundle can be written at a place.

    Call it before long work.

    Raises:
        UserError: see `write_bundle`.
    """
    _check_parent(target)
    if not os.path.lexists(target):
        return
    if not target.is_dir() or target.is_symlink():
        raise UserError(f"cannot write the bundle {target}: a file or link of that name exists; choose another name")
    if not any(target.iterdir()):
        return
    if not (target / MANIFEST).is_file():
        raise UserError(
            f"cannot write the bundle {target}: the folder exists and is neither empty nor a bundle "
            f"(it has no {MANIFEST}); choose another name"
        )
    if not force:
        raise UserError(f"cannot write the bundle {target}: it exists; add --force to replace it")
    foreign = _unlisted_files(target)
    if foreign:
        raise UserError(
            f"cannot replace {target}: {foreign[0]} in it is not part of a bundle and would be lost; "
            "move that file away, or choose another name"
        )


def check_extendable(bundle: Bundle) -> None:
    """Refuse a bundle that could not be replaced.

    Call it before long work, of which `extend_bundle` writes the results.

    Raises:
        UserError: the bundle holds a file that is not its own, or the folder beside it cannot be written.
    """
    place = bundle.path.resolve()
    check_target(place, force=True)
    try:
        with place_beside(place) as folder:
            folder.mkdir()
    except OSError as error:
        raise UserError(
            f"cannot write beside the bundle {place}: {error.strerror or error}; "
            "copy it to a folder that can be written"
        ) from error


def _check_parent(target: Path) -> None:
    """Refuse a place whose nearest existing folder cannot be written."""
    place = target.absolute().parent
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise UserError(f"cannot write the bundle {target}: {place} is not a folder; choose another name")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(
            f"cannot write the bundle {target}: the folder {place} cannot be written; give a place that can be written"
        )


def _unlisted_files(folder: Path) -> list[str]:
    """List the files that a folder's manifest does not list.

    If the manifest is somebody else's, all files are listed. If it is damaged, those are whose names no bundle has, so
    that a damaged bundle can be exported again.
    """
    try:
        manifest = parse_json(read_text(folder / MANIFEST))
    except (OSError, ValueError):
        manifest = {"schema": None}
    if not isinstance(manifest, dict) or "schema" not in manifest:
        return _list_files(folder)
    files = manifest.get("files")
    if isinstance(files, dict):
        return [name for name in _list_files(folder) if name not in {MANIFEST, *files}]
    return [name for name in _list_files(folder) if _OWN.fullmatch(name) is None]


def _list_files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if not path.is_dir()]


def write_contents(folder: Path, files: Mapping[str, Content]) -> None:
    """Write files into a folder, one after the other.

    Args:
        folder: made where it is missing.
        files: path inside the folder -> content.

    Raises:
        OSError: a file cannot be read or written; those before it are there then.
    """
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, file)
        else:
            file.write_bytes(content)


def _fill(folder: Path, manifest_fields: Mapping[str, Any], files: Mapping[str, Content]) -> None:
    folder.mkdir()
    write_contents(folder, files)
    hashes = {name: sha256(folder / name) for name in files}
    manifest = {**manifest_fields, "schema": SCHEMA, "files": hashes}
    text = json.dumps(manifest, indent=1, allow_nan=False) + "\n"
    parse_manifest(text, "the manifest to write")
    (folder / MANIFEST).write_text(text, encoding="utf-8")
