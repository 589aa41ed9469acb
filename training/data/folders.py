"""Folders of a data set and pairing of their pictures.

A form says where the pictures of a data set lie and how degraded pictures match clean ones and masks.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ...runtime.errors import UserError
from ...runtime.images.finding import list_pictures
from .pairs import Pair, listed, natural_order

_ANY = "(.+)"


@dataclass(frozen=True)
class Files:
    """Place and names of the pictures of one role."""

    example: str
    """Path of one picture below the root.

    The case of folders does not matter. A folder `*` matches any folder (the scenes of a video set).
    """
    stem: str = _ANY
    """Regular expression that matches the whole stem; partners share its group."""
    spare: bool = False
    """Whether pictures with other names, and partners that no input needs, are passed over instead of refused."""

    @property
    def folder(self) -> tuple[str, ...]:
        """List the folders between the root and a picture."""
        return tuple(self.example.split("/")[:-1])

    def below(self, prefix: str) -> "Files":
        """Return these files with their folders below another folder."""
        return Files(prefix + self.example, self.stem, self.spare)


@dataclass(frozen=True)
class FolderForm:
    """Degraded and clean pictures in folders.

    They are separate files, or the two halves of one file.
    """

    input: Files
    target: Files | None = None
    """Clean pictures; None when `side` says which half of each file is the input."""
    mask: Files | None = None
    side: Literal["", "input-left", "input-right"] = ""
    many: bool = False
    """Whether several inputs share a target."""

    def __post_init__(self) -> None:
        if (self.target is None) != bool(self.side):
            raise ValueError(
                f"a form has either a target or a side, got {self.target} and {self.side!r}; give one of them"
            )

    @property
    def partners(self) -> dict[str, Files]:
        """Return the files of target and mask, where present."""
        roles = {"target": self.target, "mask": self.mask}
        return {role: files for role, files in roles.items() if files is not None}

    def below(self, prefix: str) -> "FolderForm":
        """Return this form with its folders below another folder."""
        moved = {role: files.below(prefix) for role, files in self.partners.items()}
        return FolderForm(self.input.below(prefix), moved.get("target"), moved.get("mask"), self.side, self.many)

    @property
    def examples(self) -> tuple[str, ...]:
        """List one path of each role."""
        return tuple(files.example for files in (self.input, *self.partners.values()))

    def missing(self, root: Path) -> list[str]:
        """List the examples of roles that have no picture.

        The list is empty where the pictures below the root have this form.
        """
        return [files.example for files in (self.input, *self.partners.values()) if not _collect(root, files).pictures]

    def find(self, root: Path) -> list[Pair]:
        """Find the pairs, ordered by scene and number.

        Raises:
            UserError: pictures have no partner, a name of another form, or share a name. The message names the first.
        """
        inputs = _collect(root, self.input)
        complaints = _other_names(inputs, root, self.input)
        complaints += _twice(inputs.pictures, root, self._scenes("target"), self.many)
        found: dict[str, dict[tuple[str, str], Path]] = {}
        for role, files in self.partners.items():
            theirs, scenes = _collect(root, files), self._scenes(role)
            found[role] = {picture.key(scenes): picture.path for picture in theirs.pictures}
            complaints += _other_names(theirs, root, files) + _twice(theirs.pictures, root, scenes)
            complaints += _unpaired(inputs.pictures, theirs.pictures, root, (self.input, files), scenes)
        refuse(complaints, root)
        return [self._pair(picture, found) for picture in sorted(inputs.pictures, key=_order)]

    def _scenes(self, role: str) -> bool:
        """Tell whether partners must lie in folders of equal scenes.

        Otherwise names alone match, across scenes.
        """
        return role not in self.partners or "*" in self.partners[role].folder

    def _pair(self, picture: "_Found", found: dict[str, dict[tuple[str, str], Path]]) -> Pair:
        scenes = bool(picture.scene) and self._scenes("target")
        target = found["target"][picture.key(scenes)] if "target" in found else picture.path
        mask = found["mask"][picture.key(self._scenes("mask"))] if "mask" in found else None
        name = f"{picture.scene}-{picture.path.stem}" if scenes else picture.path.stem
        return Pair(name, picture.path, target, mask, self.side)


@dataclass(frozen=True)
class ListForm:
    """Text file in the root that lists the pairs.

    Each line reads "target input"; both paths are relative to the root.
    """

    example: str
    """Path of the list below the root."""

    @property
    def examples(self) -> tuple[str, ...]:
        """List the path of the list."""
        return (self.example,)

    def missing(self, root: Path) -> list[str]:
        """List the path of the list if it is absent."""
        return [] if self._path(root) else [self.example]

    def find(self, root: Path) -> list[Pair]:
        """Read the listed pairs in the order of the list.

        A pair is named after the scene and stem of its input (`scene230-blur_7`).

        Raises:
            UserError: the list is not text, a line does not have two paths, files are absent, or an input is listed
                twice.
        """
        path = self._path(root)
        if path is None:
            raise UserError(f"{root} has no {self.example}: give the folder that holds it")
        files = [(_file(root, target), _file(root, blurred)) for target, blurred in _lines(path, root)]
        names = Counter(f"{blurred.parent.parent.name}-{blurred.stem}" for _, blurred in files)
        absent = [shown(file, root) for pair in files for file in pair if not file.is_file()]
        again = [name for name, count in names.items() if count > 1]
        complaints = [f"{listed(absent)} of {path.name} cannot be found"] if absent else []
        complaints += [f"{path.name} lists {listed(again)} more than once"] if again else []
        refuse(complaints, root)
        return [Pair(name, blurred, target) for name, (target, blurred) in zip(names, files, strict=True)]

    def _path(self, root: Path) -> Path | None:
        return _entry(root, self.example, Path.is_file)


def refuse(complaints: Sequence[str], root: Path) -> None:
    """Raise a UserError if there are complaints about pairs.

    Raises:
        UserError: the list is not empty; the message holds all complaints and names the root.
    """
    if complaints:
        raise UserError(
            f"the pictures of {root} do not pair: {'; '.join(complaints)}; add, remove or rename files to match"
        )


def shown(path: Path, root: Path) -> str:
    """Shorten a path for messages.

    A path below the root is shown relative to it.
    """
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


class _Found(NamedTuple):
    """Picture whose stem matches."""

    path: Path
    scene: str  # name of the folder that matched *, or ""
    shared: str

    def key(self, scenes: bool) -> tuple[str, str]:
        return (self.scene if scenes else "", self.shared)


class _Collected(NamedTuple):
    """Pictures of one role."""

    pictures: list[_Found]
    others: list[Path]  # pictures whose stem does not match


def _collect(root: Path, files: Files) -> _Collected:
    """Collect the pictures of a role below the root."""
    collected = _Collected([], [])
    for scene, folder in _folders(root, files.folder):
        for path in list_pictures(folder):
            match = re.fullmatch(files.stem, path.stem)
            if match:
                collected.pictures.append(_Found(path, scene, match[1]))
            else:
                collected.others.append(path)
    return collected


def _folders(root: Path, parts: Iterable[str]) -> list[tuple[str, Path]]:
    """Find the folders that match a pattern.

    Returns:
        (scene, folder) for each; the scene is the name that matched `*`, or "".
    """
    found = [("", root)] if root.is_dir() else []
    for part in parts:
        if part == "*":
            found = [
                (below.name, below)
                for _, folder in found
                for below in sorted(folder.iterdir())
                if below.is_dir() and not below.name.startswith(".")
            ]
        else:
            found = [(scene, below) for scene, folder in found if (below := _entry(folder, part, Path.is_dir))]
    return found


def _entry(folder: Path, name: str, kind: Callable[[Path], bool]) -> Path | None:
    """Find the entry of a folder by name.

    An entry of exactly that name comes first, then one that differs only in case.
    """
    if kind(folder / name):
        return folder / name
    return next((path for path in sorted(folder.iterdir()) if path.name.lower() == name.lower() and kind(path)), None)


def _lines(path: Path, root: Path) -> list[list[str]]:
    """Read the pairs of paths in a list file."""
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} cannot be read as a list of pictures ({error}): replace it") from error
    bad = [f"line {number}" for number, words in enumerate(lines, 1) if len(words) not in (0, 2)]
    if bad or not any(lines):
        problem = f"{listed(bad)} of {path.name} does not" if bad else f"{path.name} is empty and does not"
        refuse([f"{problem} name a clean and a blurred file with a space between"], root)
    return [words for words in lines if words]


def _file(root: Path, name: str) -> Path:
    """Find a listed file with its suffix in any case."""
    path = root / name
    variants = (path, path.with_suffix(path.suffix.lower()), path.with_suffix(path.suffix.upper()))
    return next((variant for variant in variants if variant.is_file()), path)


def _other_names(collected: _Collected, root: Path, files: Files) -> list[str]:
    """Complain about pictures with names of another form."""
    if files.spare or not collected.others:
        return []
    names = [shown(path, root) for path in collected.others]
    return [f"{listed(names)} {'is' if len(names) == 1 else 'are'} not named like {files.example}"]


def _twice(pictures: Iterable[_Found], root: Path, scenes: bool, many: bool = False) -> list[str]:
    """Complain about several pictures where one is expected.

    Inputs that share a target clash only if they have the same stem.
    """
    names = defaultdict(list)
    for picture in pictures:
        key = (picture.scene, picture.path.stem) if many else picture.key(scenes)
        names[key].append(shown(picture.path, root))
    clashing = [name for same in names.values() if len(same) > 1 for name in same]
    return [f"{listed(clashing)} share names"] if clashing else []


def _unpaired(
    inputs: Sequence[_Found], partners: Sequence[_Found], root: Path, files: tuple[Files, Files], scenes: bool
) -> list[str]:
    """Complain about inputs without partner and partners without input.

    Partners that may be spare need no input.
    """
    complaints = []
    mine, theirs = files
    sides = [(inputs, partners, theirs)] if theirs.spare else [(inputs, partners, theirs), (partners, inputs, mine)]
    for those, others, wanted in sides:
        known = {other.key(scenes) for other in others}
        lonely = [shown(picture.path, root) for picture in those if picture.key(scenes) not in known]
        if lonely:
            verb = "has" if len(lonely) == 1 else "have"
            complaints.append(f"{listed(lonely)} {verb} no partner like {wanted.example}")
    return complaints


def _order(picture: _Found) -> tuple[list[tuple[int, int, str]], ...]:
    """Return a key that sorts by scene, then by stem.

    Numbers within either are sorted by value.
    """
    parts = (re.split(r"(\d+)", name) for name in (picture.scene, picture.path.stem))
    return tuple([natural_order(part) for part in split] for split in parts)
