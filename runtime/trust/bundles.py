"""Code in bundles, and the verb that trusts it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..bundle.reader import Bundle
from ..errors import UserError, quote
from .checking import library_folder
from .store import forget_digests, list_trusted, trust_digests, trusted_list

_CODE = ("library", "engine")
"""Keys of a target's table whose values are paths of code."""


@dataclass(frozen=True)
class CodeFile:
    """File of a bundle that runs as code."""

    target: str
    """Name of the target that it was built for."""
    file: str
    """Path inside the bundle."""
    sha256: str
    """Digest in lower-case hexadecimal, which the file was found to have."""
    bytes: int
    """Size of the file."""


def list_code(bundle: Bundle, target: str | None = None) -> tuple[CodeFile, ...]:
    """List the libraries and engines of a bundle.

    Graphs, keys and reports are data and not listed.

    Args:
        bundle: the bundle; the hash of each listed file is checked.
        target: name of a target; None lists those of all targets.

    Raises:
        UserError: the bundle has nothing for this target; a file was changed or is missing.
    """
    built = bundle.manifest.targets
    if target is not None and target not in built:
        raise UserError(
            f"the bundle {bundle.path} has nothing for the target {target!r} (it has: {', '.join(built) or 'none'}); "
            f"build it with: spair build {quote(bundle.path)} --target {quote(target)}"
        )
    found = {}
    for name in built if target is None else (target,):
        for file in _find_code(built[name]):
            path = bundle.file(file)
            found[file] = CodeFile(name, file, bundle.manifest.files[file], path.stat().st_size)
    return tuple(found.values())


def trust_bundle(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    remove: bool = False,
    expect_digest: Collection[str] = (),
    confirm: Callable[[dict[str, Any]], None] = lambda report: None,
) -> dict[str, Any]:
    """Trust a bundle's code, or no longer trust it.

    What is trusted are the digests of the report that `confirm` sees, not what may lie in the bundle a moment later.

    Args:
        path: the bundle's folder.
        target: see `list_code`.
        remove: take the digests off the list, and remove the copies of their libraries.
        expect_digest: see `Bundle.open`.
        confirm: function that sees the report before anything new is trusted, and raises to stop.

    Returns:
        The JSON of `spair trust`: {"bundle", "digest", "list", "changed", "files": [{"target", "file", "sha256",
        "bytes", "trusted"}]}. "changed" counts the digests that were added or removed.

    Raises:
        UserError: the bundle is another than expected; it holds no code, see `list_code`; the list cannot be
            read or written.
    """
    bundle = Bundle.open(path, expect_digest=expect_digest)
    code = list_code(bundle, target)
    if not code:
        raise UserError(
            f"the bundle {bundle.path} holds no plugin library and no engine, so there is nothing to trust; graphs are "
            "data and need no trust"
        )
    report = _report(bundle, code)
    if remove:
        changed = len(forget_digests(one.sha256 for one in code))
        for one in code:
            shutil.rmtree(library_folder(one.sha256), ignore_errors=True)
    elif all(entry["trusted"] for entry in report["files"]):
        changed = 0
    else:
        confirm(report)
        changed = len(trust_digests({one.sha256: Path(one.file).name for one in code}))
    return {**_report(bundle, code), "changed": changed}


def _report(bundle: Bundle, code: tuple[CodeFile, ...]) -> dict[str, Any]:
    trusted = list_trusted()
    files = [{**asdict(one), "trusted": one.sha256 in trusted} for one in code]
    facts = {"bundle": str(bundle.path), "digest": bundle.digest, "list": str(trusted_list())}
    return {**facts, "changed": 0, "files": files}


def _find_code(entry: Any) -> Iterator[str]:
    """Yield the paths of code in a target's table.

    Tables inside it are looked through as well.
    """
    if not isinstance(entry, dict):
        return
    for key, value in entry.items():
        if isinstance(value, str) and (key in _CODE or value.endswith(".so")):
            yield value
        elif isinstance(value, dict):
            yield from _find_code(value)
