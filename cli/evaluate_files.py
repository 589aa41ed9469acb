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
    from ..training.comparison import Measured
    from ..training.pairs import Pair


@dataclass(frozen=True)
class Sources:
    """What the user said about the pictures: two folders, or a data set."""

    inputs: Path | None = None
    target: Path | None = None
    mask: Path | None = None
    dataset: str | None = None
    root: Path | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        """Raise UserError unless exactly one of the two ways is given, and given whole."""
        from ..runtime.errors import UserError

        options: dict[str, object] = {"--input": self.inputs, "--target": self.target, "--mask": self.mask}
        options |= {"--dataset": self.dataset, "--root": self.root, "--split": self.split}
        given = [option for option, value in options.items() if value is not None]
        ways = (({"--input", "--target"}, {"--mask"}), ({"--dataset", "--root"}, {"--split"}))
        if not any(needed <= set(given) <= needed | more for needed, more in ways):
            raise UserError(
                "name the pictures either with --input and --target (--mask where there are masks) or with --dataset "
                f"and --root (--split where there are several), got {', '.join(given) or 'none of them'}"
            )

    def find(self) -> list[Pair]:
        """The pairs, every file decoded once."""
        with counting("checking:") as progress:
            if self.dataset is not None and self.root is not None:
                from ..training.layouts import find_pairs

                return find_pairs(self.dataset, self.root, self.split, progress=progress)
            from ..training.pairs import pair_folders

            assert self.inputs is not None and self.target is not None
            return pair_folders(self.inputs, self.target, self.mask, progress=progress)

    def task(self) -> str | None:
        """The data set's task; None for folders and for data sets of any task."""
        if self.dataset is None:
            return None
        from ..training.layouts import LAYOUTS

        layout = LAYOUTS.get(self.dataset)
        return None if layout is None or layout.task == "any" else layout.task

    def to_json(self) -> dict[str, Any] | None:
        """The entry `dataset` of the report."""
        if self.dataset is None:
            return None
        return {"layout": self.dataset, "root": str(self.root), "split": self.split}


@dataclass(frozen=True)
class Drawing:
    """Which pictures are drawn."""

    task: str
    model: str
    """Name of the model whose pictures they are."""
    most: int | None = None
    """The first so many; None: all."""
    separate: bool = False
    """Also restored, error and mask as files of their own."""


class ResultFolder:
    """`report.md`, `report.json` and `pictures/`, written into a folder that `open_results` moves into place."""

    def __init__(self, stage: Path, drawing: Drawing) -> None:
        self._stage, self._drawing = stage, drawing
        self._pictures: dict[str, str] = {}

    def keep(self, measured: Measured) -> None:
        """Draw one picture, unless there are enough."""
        from ..runtime.images import Picture, write_image
        from ..training.figures import draw_montage, draw_parts
        from ..training.protocols import find_protocol

        if self._drawing.most is not None and len(self._pictures) >= self._drawing.most:
            return
        name = measured.row["name"]
        drawn = {f"{name}.png": draw_montage(measured, find_protocol(self._drawing.task), self._drawing.model)}
        if self._drawing.separate:
            drawn |= {f"{name}/{part}.png": pixels for part, pixels in draw_parts(measured).items()}
        for path, pixels in drawn.items():
            target = self._stage / "pictures" / path
            make_folder(target.parent)
            write_image(target, Picture(pixels))
        self._pictures[name] = f"pictures/{name}.png"

    def finish(self, report: dict[str, Any]) -> None:
        """Write both reports."""
        from ..runtime.images import write_atomically
        from ..training.tables import render_report

        write_atomically(self._stage / "report.json", (json.dumps(report, allow_nan=False, indent=1) + "\n").encode())
        write_atomically(self._stage / "report.md", render_report(report, self._pictures).encode())


@contextlib.contextmanager
def open_results(out: Path | None, drawing: Drawing) -> Iterator[ResultFolder | None]:
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
        yield ResultFolder(stage, drawing)
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
