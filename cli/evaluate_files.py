"""`spair evaluate`: which pictures are measured, and the folder of results."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .output import counting
from .places import check_writable, make_folder

if TYPE_CHECKING:
    from ..training.pairs import Pair
    from .evaluate_kinds import Kind


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
        from ..runtime.errors import UserError

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
        """The pairs, every file decoded once: of a data set those of the chosen pictures, of folders all."""
        with counting("checking:") as progress:
            if self.dataset is not None and self.root is not None:
                from ..training.layouts import find_pairs
                from ..training.pairs import check_pairs

                chosen = choose_pairs(find_pairs(self.dataset, self.root, self.split, check=False), self.only)
                check_pairs(chosen, progress)
                return chosen
            from ..training.pairs import pair_folders

            assert self.inputs is not None
            # Where masks alone are measured nobody looks at targets: the input stands in for them.
            targets = self.inputs if self.target is None else self.target
            return choose_pairs(pair_folders(self.inputs, targets, self.mask, progress=progress), self.only)

    def task(self) -> str | None:
        """The data set's task; None for folders and for data sets of any task."""
        if self.dataset is None:
            return None
        from ..training.layouts import LAYOUTS

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
    from ..runtime.errors import UserError

    names = tuple(dict.fromkeys(name for part in (text or "").split(",") if (name := part.strip())))
    if text is not None and not names:
        raise UserError(f"--only {text!r} names no picture: give names with commas between them, or leave it out")
    return names


def choose_pairs(pairs: list[Pair], names: tuple[str, ...]) -> list[Pair]:
    """Those of these names in the order of the pairs; all of them without names.

    Raises:
        UserError: a name that no pair has.
    """
    from ..runtime.errors import UserError
    from ..training.pairs import listed

    there = [pair.name for pair in pairs]
    unknown = [name for name in names if name not in there]
    if unknown:
        raise UserError(f"--only names {listed(unknown)}, but the pictures are {listed(there)}: choose among these")
    return [pair for pair in pairs if pair.name in names] if names else pairs


@dataclass(frozen=True)
class Drawing:
    """Which pictures are drawn."""

    model: str
    """Name of the model whose pictures they are."""
    most: int | None = None
    """The first so many; None: all."""
    separate: bool = False
    """Also the parts of each as files of their own."""


class ResultFolder:
    """`report.md`, `report.json` and `pictures/`, written into a folder that `open_results` moves into place."""

    def __init__(self, stage: Path, kind: Kind, drawing: Drawing) -> None:
        self._stage, self._kind, self._drawing = stage, kind, drawing
        self._pictures: dict[str, str] = {}

    def keep(self, measured: Any) -> None:
        """Draw one picture as its kind was measured, unless there are enough."""
        from ..runtime.images import Picture, write_image

        if self._drawing.most is not None and len(self._pictures) >= self._drawing.most:
            return
        name = measured.row["name"]
        drawn = {f"{name}.png": self._kind.draw(measured, self._drawing.model)}
        if self._drawing.separate:
            drawn |= {f"{name}/{part}.png": pixels for part, pixels in self._kind.draw_parts(measured).items()}
        for path, pixels in drawn.items():
            target = self._stage / "pictures" / path
            make_folder(target.parent)
            write_image(target, Picture(pixels))
        self._pictures[name] = f"pictures/{name}.png"

    def finish(self, report: dict[str, Any]) -> None:
        """Write both reports."""
        from ..runtime.images import write_atomically

        write_atomically(self._stage / "report.json", (json.dumps(report, allow_nan=False, indent=1) + "\n").encode())
        write_atomically(self._stage / "report.md", self._kind.render(report, self._pictures).encode())


@contextlib.contextmanager
def open_results(out: Path | None, kind: Kind, drawing: Drawing) -> Iterator[ResultFolder | None]:
    """The results of a run, which lie hidden inside `out` until the work is done and are removed when it fails.

    Earlier files of the same names are replaced then, others left alone. None without `out`.

    Raises:
        UserError: the folder cannot be made or written, or pictures are asked for without one.
    """
    from ..runtime.errors import UserError

    if out is None:
        if drawing.most is not None or drawing.separate:
            raise UserError("--pictures and --separate say what is drawn into --out; give --out as well")
        yield None
        return
    check_writable(out)
    made = not out.exists()
    make_folder(out)
    stage = Path(tempfile.mkdtemp(prefix=".evaluate-", dir=out))
    try:
        yield ResultFolder(stage, kind, drawing)
        _move(stage, out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if made and not any(out.iterdir()):
            out.rmdir()


def _move(stage: Path, out: Path) -> None:
    """Pictures first: whoever sees a report finds them."""
    files = [path for path in stage.rglob("*") if path.is_file()]
    for file in sorted(files, key=lambda path: (path.parent == stage, path)):
        target = out / file.relative_to(stage)
        make_folder(target.parent)
        file.replace(target)
