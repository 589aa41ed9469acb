"""How a data set's pictures lie in folders, and the matching of degraded pictures with clean ones."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ...runtime.errors import UserError
from .pairs import Pair, list_pictures, listed, natural_order

_ANY = "(.+)"


@dataclass(frozen=True)
class Files:
    """The pictures of one role: where they lie and which part of the name partners share."""

    example: str
    """A path below the root, the case of folders aside; a folder `*` stands for any (the scenes of a video set)."""
    stem: str = _ANY
    """Regular expression of the whole stem, whose group partners share."""
    spare: bool = False
    """Whether pictures of other names, and partners that nobody needs, are passed over instead of refused."""

    @property
    def folder(self) -> tuple[str, ...]:
        """The folders between root and picture."""
        return tuple(self.example.split("/")[:-1])

    def below(self, prefix: str) -> "Files":
        """The same files with their folders below another one."""
        return Files(prefix + self.example, self.stem, self.spare)


@dataclass(frozen=True)
class FolderForm:
    """Degraded and clean pictures as files of their own, or as halves of one file."""

    input: Files
    target: Files | None = None
    """None when `side` says which half of each file is the input."""
    mask: Files | None = None
    side: Literal["", "input-left", "input-right"] = ""
    many: bool = False
    """Whether several inputs share a target."""

    def __post_init__(self) -> None:
        if (self.target is None) != bool(self.side):
            raise ValueError(f"a packing has either a target or a side, got {self.target} and {self.side!r}")

    @property
    def partners(self) -> dict[str, Files]:
        """The files of the other roles."""
        roles = {"target": self.target, "mask": self.mask}
        return {role: files for role, files in roles.items() if files is not None}

    def below(self, prefix: str) -> "FolderForm":
        """The same packing with its folders below another one."""
        moved = {role: files.below(prefix) for role, files in self.partners.items()}
        return FolderForm(self.input.below(prefix), moved.get("target"), moved.get("mask"), self.side, self.many)

    @property
    def examples(self) -> tuple[str, ...]:
        """A path of each role."""
        return tuple(files.example for files in (self.input, *self.partners.values()))

    def missing(self, root: Path) -> list[str]:
        """Examples of the roles that have no picture below the root; empty where the packing is in use."""
        return [files.example for files in (self.input, *self.partners.values()) if not _collect(root, files).pictures]

    def find(self, root: Path) -> list[Pair]:
        """Its pairs, by scene and number.

        Raises:
            UserError: pictures without partner, of another name, or several of one name; the first are named.
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
        """Whether partners lie in folders of equal scenes; otherwise names alone match, across scenes."""
        return role not in self.partners or "*" in self.partners[role].folder

    def _pair(self, picture: "_Found", found: dict[str, dict[tuple[str, str], Path]]) -> Pair:
        scenes = bool(picture.scene) and self._scenes("target")
        target = found["target"][picture.key(scenes)] if "target" in found else picture.path
        mask = found["mask"][picture.key(self._scenes("mask"))] if "mask" in found else None
        name = f"{picture.scene}-{picture.path.stem}" if scenes else picture.path.stem
        return Pair(name, picture.path, target, mask, self.side)


@dataclass(frozen=True)
class ListForm:
    """A text file in the root with a line "target input" for each pair, both relative to the root."""

    example: str

    @property
    def examples(self) -> tuple[str, ...]:
        """Its path."""
        return (self.example,)

    def missing(self, root: Path) -> list[str]:
        """Its name, unless it is there."""
        return [] if self._path(root) else [self.example]

    def find(self, root: Path) -> list[Pair]:
        """The listed pairs in the list's order, named after the input's scene and stem (`scene230-blur_7`).

        Raises:
            UserError: the list is not text, a line has not two paths, files are absent, or an input is listed twice.
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
    """Raise a UserError of all complaints about the pairs below a root, if there are any."""
    if complaints:
        raise UserError(
            f"the pictures of {root} do not pair: {'; '.join(complaints)}; add, remove or rename files to match"
        )


def shown(path: Path, root: Path) -> str:
    """A path in messages: relative to the root where it lies below it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


class _Found(NamedTuple):
    path: Path
    scene: str  # the folder that matched *, or nothing
    shared: str

    def key(self, scenes: bool) -> tuple[str, str]:
        return (self.scene if scenes else "", self.shared)


class _Collected(NamedTuple):
    pictures: list[_Found]
    others: list[Path]  # pictures whose stem is of another form


def _collect(root: Path, files: Files) -> _Collected:
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
    """The folders of a pattern, each with what stands for its `*`."""
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
    """The entry of that name, else the first one that differs in case only."""
    if kind(folder / name):
        return folder / name
    return next((path for path in sorted(folder.iterdir()) if path.name.lower() == name.lower() and kind(path)), None)


def _lines(path: Path, root: Path) -> list[list[str]]:
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
    """A listed file; the case of its suffix does not matter."""
    path = root / name
    variants = (path, path.with_suffix(path.suffix.lower()), path.with_suffix(path.suffix.upper()))
    return next((variant for variant in variants if variant.is_file()), path)


def _other_names(collected: _Collected, root: Path, files: Files) -> list[str]:
    if files.spare or not collected.others:
        return []
    names = [shown(path, root) for path in collected.others]
    return [f"{listed(names)} {'is' if len(names) == 1 else 'are'} not named like {files.example}"]


def _twice(pictures: Iterable[_Found], root: Path, scenes: bool, many: bool = False) -> list[str]:
    """Several pictures where one is expected; of inputs that share a target, only those of one stem."""
    names = defaultdict(list)
    for picture in pictures:
        key = (picture.scene, picture.path.stem) if many else picture.key(scenes)
        names[key].append(shown(picture.path, root))
    clashing = [name for same in names.values() if len(same) > 1 for name in same]
    return [f"{listed(clashing)} share names"] if clashing else []


def _unpaired(
    inputs: Sequence[_Found], partners: Sequence[_Found], root: Path, files: tuple[Files, Files], scenes: bool
) -> list[str]:
    """Inputs without partner and, unless those may be spare, partners without input."""
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
    """By scene, then by stem, each with the numbers in it by value."""
    parts = (re.split(r"(\d+)", name) for name in (picture.scene, picture.path.stem))
    return tuple([natural_order(part) for part in split] for split in parts)
