"""`spair evaluate`: which pictures are measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..shared.output import counting

if TYPE_CHECKING:
    from ...training.data.pairs import Pair


@dataclass(frozen=True)
class Sources:
    """What the user said about the pictures: folders, or a data set."""

    inputs: Path | None = None
    target: Path | None = None
    mask: Path | None = None
    dataset: str | None = None
    root: Path | None = None
    split: str | None = None
    only: tuple[str, ...] = ()
    """Names of the pictures that are measured; empty: all."""

    def __post_init__(self) -> None:
        """Raise UserError unless exactly one of the ways is given, and given whole."""
        from ...runtime.errors import UserError

        options: dict[str, object] = {"--input": self.inputs, "--target": self.target, "--mask": self.mask}
        options |= {"--dataset": self.dataset, "--root": self.root, "--split": self.split}
        given = [option for option, value in options.items() if value is not None]
        ways: tuple[tuple[set[str], set[str]], ...] = (
            ({"--input", "--target"}, {"--mask"}),
            ({"--input", "--mask"}, set()),
            ({"--dataset", "--root"}, {"--split"}),
        )
        if not any(needed <= set(given) <= needed | more for needed, more in ways):
            raise UserError(
                "name the pictures either with --input and --target (--mask where there are masks), or with --input "
                "and --mask where there are no clean ones, or with --dataset and --root (--split where there are "
                f"several), got {', '.join(given) or 'none of them'}"
            )

    @property
    def masks_alone(self) -> bool:
        """Whether there are true masks, but no clean pictures."""
        return self.target is None and self.dataset is None

    def find(self) -> list[Pair]:
        """The chosen pairs, every file of theirs decoded once; the others have to pair too."""
        from ...training.data.pairs import check_pairs

        chosen = choose_pairs(self._list(), self.only)
        with counting("checking:") as progress:
            check_pairs(chosen, progress)
        return chosen

    def _list(self) -> list[Pair]:
        """All pairs, their files not looked at."""
        from ...training.data.datasets import find_pairs
        from ...training.data.pairs import pair_folders

        if self.dataset is not None and self.root is not None:
            return find_pairs(self.dataset, self.root, self.split, check=False)
        assert self.inputs is not None
        # Where masks alone are measured nobody looks at targets: the input stands in for them.
        targets = self.inputs if self.target is None else self.target
        return pair_folders(self.inputs, targets, self.mask, check=False)

    def task(self) -> str | None:
        """The data set's task; None for folders and for data sets of any task."""
        if self.dataset is None:
            return None
        from ...training.data.datasets import LAYOUTS

        layout = LAYOUTS.get(self.dataset)
        return None if layout is None or layout.task == "any" else layout.task

    def to_json(self) -> dict[str, Any]:
        """The entries `dataset` and `only` of the report, each null where it was not given."""
        dataset = {"layout": self.dataset, "root": str(self.root), "split": self.split}
        return {"dataset": None if self.dataset is None else dataset, "only": list(self.only) or None}


def split_names(text: str | None) -> tuple[str, ...]:
    """The names in a list with commas, each once; none for None.

    Raises:
        UserError: there is text, but no name.
    """
    from ...runtime.errors import UserError

    names = tuple(dict.fromkeys(name for part in (text or "").split(",") if (name := part.strip())))
    if text is not None and not names:
        raise UserError(f"--only {text!r} names no picture: give names with commas between them, or leave it out")
    return names


def choose_pairs(pairs: list[Pair], names: tuple[str, ...]) -> list[Pair]:
    """Those of these names in the order of the pairs; all of them without names.

    Raises:
        UserError: a name that no pair has.
    """
    from ...runtime.errors import UserError
    from ...training.data.pairs import listed

    there = [pair.name for pair in pairs]
    unknown = [name for name in names if name not in there]
    if unknown:
        raise UserError(f"--only names {listed(unknown)}, but the pictures are {listed(there)}: choose among these")
    return [pair for pair in pairs if pair.name in names] if names else pairs
