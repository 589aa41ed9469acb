"""Reader of bundles.

A bundle is a folder with a manifest, whose files are checked by their hashes before they are used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import TypeVar

from ...temporary.leftovers import list_temporary
from ...temporary.names import BACKUP, stem_of
from ..bounds.files import read_bounded
from ..cache import is_shared_bundle
from ..errors import UserError, quote
from ..files import sha256
from ..graphs import list_outside
from .agreement import check_graph, check_padding, check_precision
from .checks.digest import check_digest, compute_digest
from .manifest import Manifest, parse_manifest

MANIFEST = "manifest.json"
"""Name of the manifest's file in a bundle."""

PLAIN = "fp32"
"""Precision that every bundle has."""

CALIBRATED = ("fp16", "int8")
"""Precisions that `spair calibrate` makes."""


_PLAIN_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
"""Places of weights outside a graph's file that are followed; others have a meaning of their own to ONNX Runtime."""
DERIVED = {
    "bf16": "weights are rounded to bf16 by --backend cpu alone",
    "int8-bf16": "what int8 keeps in fp16 is rounded to bf16 by --backend cpu alone",
}
"""Precisions that have no graphs, with the sentence about each."""
DERIVED_FROM = {"bf16": PLAIN, "int8-bf16": "int8"}
"""Precisions of the row programs that those without graphs are derived from."""

READS = 5
"""Times that a bundle is read while others replace it."""

Read = TypeVar("Read")


class ReplacedError(UserError):
    """Replacement of a bundle between two reads of it.

    What was read belongs to the old one and what would be read to the new one; opening it again gives the new one.
    """


class Bundle:
    """Opened bundle.

    Its manifest is valid and all files are present. The hash of a file is checked when the file is asked for.
    """

    def __init__(self, path: Path, manifest: Manifest, content: bytes) -> None:
        self.path = path
        """Folder of the bundle."""
        self.manifest = manifest
        """Parsed manifest."""
        self.digest = compute_digest(content)
        """SHA-256 of the manifest, which lists that of every file; see `spair.runtime.bundle.checks.digest`."""
        self._content = content

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, expect_digest: Collection[str] = ()) -> Bundle:
        """Open a bundle folder.

        Args:
            path: the folder.
            expect_digest: digests of which the bundle must have one, see `digest`; empty where any will do.

        Raises:
            UserError: the folder does not exist; the manifest is missing, cannot be parsed or has a newer schema; a
                path in it leaves the bundle (it is absolute, or leads out by ".." or by a link); a file is missing; the
                digest is another one.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise UserError(f"cannot open the bundle {folder}: {_say_absence(folder)}")
        file = folder / MANIFEST
        try:
            content = read_bounded(file)
            text = content.decode("utf-8")
        except FileNotFoundError as error:
            raise UserError(
                f"cannot open the bundle {folder}: it has no {MANIFEST}; give one written by spair export, or the file "
                "of a checkpoint"
            ) from error
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {file}: {error}; export the bundle again") from error
        check_digest(compute_digest(content), expect_digest, folder)
        bundle = cls(folder, parse_manifest(text, str(file)), content)
        for name in bundle.manifest.files:
            bundle._locate(name)
        return bundle

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions that the bundle has graphs for."""
        return self.manifest.precisions

    def has_graph(self, precision: str, part: str) -> bool:
        """Tell whether the bundle has a graph, see `graph`."""
        return part in self.manifest.graphs.get(precision, {})

    def graph(self, precision: str, part: str) -> Path:
        """Return the file of a graph after checking it.

        Its hash must be the manifest's, the manifest's numbers must be those of the graph, and weights outside the file
        must be listed as files too, with the right hash.

        Args:
            precision: "fp32", "fp16", "int8", ...
            part: "model", "net_l", "net_r", ...

        Raises:
            UserError: the bundle has no such precision or part (the message lists those it has); the hash is wrong; the
                graph contradicts the manifest, see `check_graph`; it leaves weights in a file that is not listed.
        """
        parts = self.manifest.graphs.get(precision)
        if parts is None:
            has = ", ".join(self.precisions) or "none"
            advice = self._advise_calibration(precision) if precision in CALIBRATED else DERIVED.get(precision)
            advice = advice or "choose one of these"
            raise UserError(f"the bundle {self.path} has no {precision} graphs (it has: {has}); {advice}")
        if part not in parts:
            raise UserError(f"the bundle {self.path} has no {precision} graph {part!r}, only {', '.join(parts)}")
        path = self.file(parts[part])
        self._check_outside(parts[part], path)
        check_graph(path, precision, part, self.manifest)
        for other, names in self.manifest.graphs.items():
            if part in names and precision != PLAIN and other != precision:
                check_precision(self._locate(names[part]), other, self.manifest)
        return path

    def graph_digest(self, precision: str, part: str) -> str:
        """Return the SHA-256 of a graph with its weights.

        It is that of the graph's file, or, where weights lie in other files, one over the hashes of all. The hashes are
        the manifest's.

        Returns:
            Lower-case hexadecimal; "absent" where the bundle has no such graph.

        Raises:
            UserError: the graph is no ONNX file, or it takes weights from a file that is not listed.
        """
        name = self.manifest.graphs.get(precision, {}).get(part, "")
        own = self.manifest.files.get(name)
        if own is None:
            return "absent"
        places = list_outside(self._locate(name))
        hashes = [self.manifest.files[self._name_outside(name, place)] for place in places]
        return compute_digest("\n".join([own, *hashes]).encode()) if hashes else own

    def check_whole(self, precision: str) -> None:
        """Check the graph of the whole network of two stages.

        Restoring does not need it: what is built from it or compared with it does.

        Raises:
            UserError: see `graph`, and `check_padding` for a bundle of an older version.
        """
        check_padding(self.graph(precision, "model"))

    def check_graphs(self, precision: str) -> None:
        """Check every graph of a precision as `graph` does.

        Raises:
            UserError: see `graph`.
        """
        for part in self.manifest.graphs.get(precision, {}):
            self.graph(precision, part)

    def _check_outside(self, name: str, path: Path) -> None:
        """Check the files in which a graph leaves weights."""
        for place in list_outside(path):
            self.file(self._name_outside(name, place))

    def _name_outside(self, name: str, place: str) -> str:
        """Name a listed file in which a graph leaves weights."""
        beside = str(PurePosixPath(name).parent / place)
        if not _PLAIN_PATH.fullmatch(place) or beside not in self.manifest.files:
            raise UserError(
                f"the graph {self.path / name} is refused: it takes weights from the file {place!r}, which the "
                "manifest does not list, so they could be any; export the bundle again"
            )
        return beside

    def _advise_calibration(self, precision: str) -> str:
        options = ("--images", "DIR", "--precision", precision)
        if not is_shared_bundle(self.path):
            return "make them with: " + quote("spair", "calibrate", self.path, *options)
        own, task = Path(f"{self.manifest.task}.spair"), self.manifest.task  # nothing is written into a shared bundle
        first, then = quote("spair", "export", task, "--out", own), quote("spair", "calibrate", own, *options)
        return f"make your own: {first}, then {then}"

    def file(self, name: str) -> Path:
        """Return the path of a file after checking its hash.

        Raises:
            UserError: the name is not listed or leaves the bundle, the file is missing, or its hash is wrong.
            ReplacedError: another bundle took the place of this one since it was opened.
        """
        expected = self.manifest.files.get(name)
        if expected is None:
            raise UserError(f"the bundle {self.path} lists no file {name!r}; export it again")
        path = self._locate(name)
        try:
            found = sha256(path)
        except FileNotFoundError:  # between two replacements
            found = ""
        if found != expected:
            self._check_in_place()
            raise UserError(
                f"the file {path} was changed: its SHA-256 is {found[:12]}…, "
                f"the manifest says {expected[:12]}…; export the bundle again"
            )
        return path

    def contents(self) -> Mapping[str, Path]:
        """Return the paths of all files after checking their hashes.

        Returns:
            Paths by name in the bundle.
        """
        return {name: self.file(name) for name in self.manifest.files}

    def _locate(self, name: str) -> Path:
        check_name(name)
        path = self.path / name
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise UserError(
                f"the bundle {self.path} is refused: its file {name!r} is a link to a file outside; export it again"
            )
        if not os.path.isfile(path):  # noqa: PTH113 (Path.is_file raises for a name that is too long)
            self._check_in_place()
            raise UserError(f"the bundle {self.path} is incomplete: {name} is missing; export it again")
        return path

    def _check_in_place(self) -> None:
        """Raise ReplacedError if the manifest is no longer the same."""
        try:
            now = read_bounded(self.path / MANIFEST)
        except (OSError, ValueError):
            return
        if now != self._content:
            raise ReplacedError(f"the bundle {self.path} was replaced while it was read; run the command again")


def reread(read: Callable[[], Read]) -> Read:
    """Read a bundle, anew when it is replaced meanwhile.

    Args:
        read: opens a bundle and reads all that it needs of it.

    Raises:
        ReplacedError: it was replaced each of `READS` times.
    """
    for _ in range(READS - 1):
        try:
            return read()
        except ReplacedError:
            continue
    return read()


def _say_absence(folder: Path) -> str:
    """Say what is in the place of a bundle."""
    if not folder.exists() and folder.name:
        for one in list_temporary(folder.parent):
            if one.name.kind == BACKUP and one.target_stem == stem_of(folder):
                return (
                    "a writer was killed while it replaced it; "
                    f"the old one is at {one.path}: rename it to {folder.name}"
                )
    what = "it is a file" if folder.exists() else "it does not exist"
    return f"{what}, expected a folder written by spair export"


def check_name(name: str) -> None:
    """Check that a file name stays inside of a bundle.

    The check holds for all platforms.

    Raises:
        UserError: the name is absolute or empty, has "..", a drive letter or a backslash, or is the manifest's.
    """
    parts = PurePosixPath(name).parts
    inside = bool(parts) and not name.startswith("/") and ".." not in parts
    if not inside or "\\" in name or ":" in name or "\0" in name or name == MANIFEST:
        raise UserError(f"the path {name!r} may not be in a bundle: expected a relative path inside it, without '..'")
