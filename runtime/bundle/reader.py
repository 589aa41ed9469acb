"""Reader of bundles.

A bundle is a folder with a manifest, whose files are checked by their hashes before they are used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ..cache import is_shared_bundle
from ..errors import UserError
from ..files import sha256
from .manifest import Manifest, parse_manifest

MANIFEST = "manifest.json"
"""Name of the manifest's file in a bundle."""

CALIBRATED = ("fp16", "int8")
"""Precisions that `spair calibrate` makes."""


class Bundle:
    """Opened bundle.

    Its manifest is valid and all files are present. The hash of a file is checked when the file is asked for.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        """Folder of the bundle."""
        self.manifest = manifest
        """Parsed manifest."""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """Open a bundle folder.

        Raises:
            UserError: the folder does not exist; the manifest is missing, cannot be parsed or has a newer schema; a
                path in it leaves the bundle (it is absolute, or leads out by ".." or by a link); a file is missing.
        """
        folder = Path(path)
        if not folder.is_dir():
            what = "it is a file" if folder.exists() else "it does not exist"
            raise UserError(f"cannot open the bundle {folder}: {what}, expected a folder written by spair export")
        file = folder / MANIFEST
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise UserError(
                f"cannot open the bundle {folder}: it has no {MANIFEST}; give one written by spair export"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {file}: {error}; export the bundle again") from error
        manifest = parse_manifest(text, str(file))
        bundle = cls(folder, manifest)
        for name in manifest.files:
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
        """Return the file of a graph after checking its hash.

        Args:
            precision: "fp32", "fp16", "int8", ...
            part: "model", "net_l", "net_r", ...

        Raises:
            UserError: the bundle has no such precision or part (the message lists those it has), or the hash is wrong.
        """
        parts = self.manifest.graphs.get(precision)
        if parts is None:
            has = ", ".join(self.precisions) or "none"
            advice = self._advise_calibration(precision) if precision in CALIBRATED else "choose one of these"
            raise UserError(f"the bundle {self.path} has no {precision} graphs (it has: {has}); {advice}")
        if part not in parts:
            raise UserError(f"the bundle {self.path} has no {precision} graph {part!r}, only {', '.join(parts)}")
        return self.file(parts[part])

    def _advise_calibration(self, precision: str) -> str:
        options = f"--images DIR --precision {precision}"
        if is_shared_bundle(self.path):  # which nothing is written into
            own = f"{self.manifest.task}.spair"
            return f"make your own: spair export {self.manifest.task} --out {own}, then spair calibrate {own} {options}"
        return f"make them with: spair calibrate {self.path} {options}"

    def file(self, name: str) -> Path:
        """Return the path of a file after checking its hash.

        Raises:
            UserError: the name is not listed or leaves the bundle, the file is missing, or its hash is wrong.
        """
        expected = self.manifest.files.get(name)
        if expected is None:
            raise UserError(f"the bundle {self.path} lists no file {name!r}; export it again")
        path = self._locate(name)
        found = sha256(path)
        if found != expected:
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
        if not path.is_file():
            raise UserError(f"the bundle {self.path} is incomplete: {name} is missing; export it again")
        return path


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
