"""A bundle on disk: a folder with a manifest, whose files are checked by hash before they are used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ..errors import UserError
from ..files import sha256
from .manifest import Manifest, parse_manifest

MANIFEST = "manifest.json"
CALIBRATED = ("fp16", "int8")
"""Precisions that `spair calibrate` makes."""


class Bundle:
    """An opened bundle: the manifest is valid, every file is present, each is hashed when it is asked for."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        """The bundle's folder."""
        self.manifest = manifest
        """The parsed manifest."""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """Open a bundle folder.

        Raises:
            UserError: no such folder; no manifest, or one that does not parse or is of a newer schema; a path
                in it that leaves the bundle (absolute, "..", or through a link); a file that is missing.
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
        """The precisions the bundle has graphs for."""
        return self.manifest.precisions

    def has_graph(self, precision: str, part: str) -> bool:
        """Whether there is such a graph; `graph` refuses with a sentence where this is False."""
        return part in self.manifest.graphs.get(precision, {})

    def graph(self, precision: str, part: str) -> Path:
        """The file of one graph, its hash checked now.

        Args:
            precision: "fp32", "fp16", "int8", ...
            part: "model", "net_l", "net_r", ...

        Raises:
            UserError: no graph of that precision or part (the message lists what there is), or a wrong hash.
        """
        parts = self.manifest.graphs.get(precision)
        if parts is None:
            has = ", ".join(self.precisions) or "none"
            made = f"make them with: spair calibrate {self.path} --images DIR --precision {precision}"
            advice = made if precision in CALIBRATED else "choose one of these"
            raise UserError(f"the bundle {self.path} has no {precision} graphs (it has: {has}); {advice}")
        if part not in parts:
            raise UserError(f"the bundle {self.path} has no {precision} graph {part!r}, only {', '.join(parts)}")
        return self.file(parts[part])

    def file(self, name: str) -> Path:
        """A listed file, its hash checked now.

        Raises:
            UserError: the name is not listed, leaves the bundle or is missing, or its hash is another.
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
        """Every listed file by its name in the bundle, hashes checked now."""
        return {name: self.file(name) for name in self.manifest.files}

    def _locate(self, name: str) -> Path:
        check_name(name)
        path = self.path / name
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise UserError(f"the bundle {self.path} is refused: its file {name!r} is a link that leaves it")
        if not path.is_file():
            raise UserError(f"the bundle {self.path} is incomplete: {name} is missing; export it again")
        return path


def check_name(name: str) -> None:
    """Refuse a file name that could point outside of a bundle, on any platform.

    Raises:
        UserError: absolute, with "..", a drive letter or a backslash, empty, or the manifest itself.
    """
    parts = PurePosixPath(name).parts
    inside = bool(parts) and not name.startswith("/") and ".." not in parts
    if not inside or "\\" in name or ":" in name or "\0" in name or name == MANIFEST:
        raise UserError(f"the path {name!r} may not be in a bundle: expected a relative path inside it, without '..'")
