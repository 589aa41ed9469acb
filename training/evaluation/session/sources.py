"""Choice of the pictures that an evaluation measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....runtime.clock import CountProgress
from ....runtime.errors import UserError
from ...data.datasets import LAYOUTS, find_pairs
from ...data.pairs import Pair, check_pairs, keep_usable, listed, pair_folders


@dataclass(frozen=True)
class Sources:
    """Folders or a data set that the user named.

    Raises:
        UserError: the options do not name exactly one source, or name it in part only.
    """

    inputs: Path | None = None
    """Folder of degraded pictures."""
    clean: Path | None = None
    """Folder of clean pictures."""
    mask: Path | None = None
    """Folder of true masks."""
    dataset: str | None = None
    """Layout of a data set, a key of `LAYOUTS`."""
    root: Path | None = None
    """Folder of the data set."""
    split: str | None = None
    """Part of the data set."""
    only: tuple[str, ...] = ()
    """Names of the pictures that are measured; empty for all."""

    def __post_init__(self) -> None:
        options: dict[str, object] = {"--input": self.inputs, "--clean": self.clean, "--mask": self.mask}
        options |= {"--dataset": self.dataset, "--root": self.root, "--split": self.split}
        given = [option for option, value in options.items() if value is not None]
        choices: tuple[tuple[set[str], set[str]], ...] = (
            ({"--input", "--clean"}, {"--mask"}),
            ({"--input", "--mask"}, set()),
            ({"--dataset", "--root"}, {"--split"}),
        )
        if not any(needed <= set(given) <= needed | more for needed, more in choices):
            raise UserError(
                "name the pictures either with --input and --clean (--mask where there are masks), or with --input "
                "and --mask where there are no clean ones, or with --dataset and --root (--split where there are "
                f"several), got {', '.join(given) or 'none of them'}"
            )

    @property
    def masks_alone(self) -> bool:
        """Whether there are true masks but no clean pictures."""
        return self.clean is None and self.dataset is None

    def find(
        self, progress: CountProgress, announce: Callable[[str], None] = lambda reason: None, scale: int = 1
    ) -> list[Pair]:
        """Find the chosen pairs.

        Every chosen file is decoded once. The other files must pair as well, but are not decoded. A pair of folders
        that cannot be used is left out. Data sets must be whole: their scores are compared with published ones.

        Args:
            progress: counts files.
            announce: called with the reason for each pair that is left out.
            scale: factor from a picture's height and width to those of its clean one.

        Raises:
            UserError: files do not pair, or cannot be used at all; `only` names a picture that does not exist.
        """
        chosen = choose_pairs(self._list(), self.only)
        if self.dataset is None and not self.only:
            return keep_usable(chosen, progress, announce, scale)
        check_pairs(chosen, progress, scale)
        return chosen

    def _list(self) -> list[Pair]:
        """List all pairs without opening their files."""
        if self.dataset is not None and self.root is not None:
            return find_pairs(self.dataset, self.root, self.split, check=False)
        assert self.inputs is not None
        # Masks alone are compared with masks: a pair needs a clean picture, and the input stands in for it.
        clean = self.inputs if self.clean is None else self.clean
        return pair_folders(self.inputs, clean, self.mask, check=False)

    def task(self) -> str | None:
        """Return the data set's task.

        It is None for folders and for data sets of any task.
        """
        layout = None if self.dataset is None else LAYOUTS.get(self.dataset)
        return None if layout is None or layout.task == "any" else layout.task

    def to_json(self) -> dict[str, Any]:
        """Return the entries `dataset` and `only` of the report.

        An entry that was not given is None.
        """
        dataset = {"layout": self.dataset, "root": str(self.root), "split": self.split}
        return {"dataset": None if self.dataset is None else dataset, "only": list(self.only) or None}


def split_names(text: str | None) -> tuple[str, ...]:
    """Split a list of names at its commas.

    Each name is kept once. None gives no names.

    Raises:
        UserError: the text holds no name.
    """
    names = tuple(dict.fromkeys(name for part in (text or "").split(",") if (name := part.strip())))
    if text is not None and not names:
        raise UserError(f"--only {text!r} names no picture: give names with commas between them, or leave it out")
    return names


def choose_pairs(pairs: list[Pair], names: tuple[str, ...]) -> list[Pair]:
    """Choose pairs by name, in the order of the pairs.

    No names choose all pairs.

    Raises:
        UserError: no pair has one of the names.
    """
    there = [pair.name for pair in pairs]
    unknown = [name for name in names if name not in there]
    if unknown:
        raise UserError(f"--only names {listed(unknown)}, but the pictures are {listed(there)}: choose among these")
    return [pair for pair in pairs if pair.name in names] if names else pairs
