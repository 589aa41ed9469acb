"""Folder of results of an evaluation."""

from __future__ import annotations

import contextlib
import json
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ....runtime.errors import UserError
from ....runtime.files import write_atomically
from ....runtime.images import Picture, write_image
from ....temporary.places import place_beside
from ...data.pairs import Pair
from ..protocols import find_protocol
from ..report.curve import FILE as CURVE
from ..report.curve import draw_thresholds
from ..report.markdown import label_models
from .kinds import Kind

PICTURES = "pictures"
"""Folder of the drawn pictures, inside of the results."""


@dataclass(frozen=True)
class Drawing:
    """Choice of the pictures that are drawn."""

    models: tuple[str, ...]
    """Names of the models; the first is the one that is reported, the others are its peers."""
    most: int | None = None
    """Number of pictures that are drawn, the first ones; None for all."""
    separate: bool = False
    """Whether the parts of each montage are also written as files of their own."""

    @classmethod
    def of(cls, models: Sequence[Path], most: int | None, separate: bool) -> Drawing:
        """Name the models by their paths."""
        return cls(tuple(label_models([str(path) for path in models])), most, separate)


class ResultFolder:
    """Writer of `report.md`, `report.json` and `pictures/`.

    The files are written into a stage, which `open_results` moves into place. A montage shows the results of all models
    on one picture. Models run one after the other, the peers first. A peer's panels, as small as they are shown, wait
    in an unnamed temporary file until the reported model has been measured on that picture.
    """

    def __init__(self, stage: Path, out: Path, kind: Kind, drawing: Drawing) -> None:
        self._stage, self._out, self._kind, self._drawing = stage, out, kind, drawing
        self._pictures: dict[str, str] = {}
        self._waiting = [_Queue() for _ in drawing.models[1:]]

    def check_inputs(self, pairs: Sequence[Pair]) -> None:
        """Refuse to write among the pictures that are measured.

        A montage would replace one of them, or be measured the next time.

        Raises:
            UserError: one of them lies where results are written.
        """
        out = self._out.resolve()
        for path in (path for pair in pairs for path in (pair.input, pair.target, pair.mask) if path is not None):
            folder = path.resolve().parent
            if folder == out or folder.is_relative_to(out / PICTURES):
                raise UserError(
                    f"the results in {self._out} would lie among the pictures that are measured, such as {path}; "
                    "choose another --out"
                )

    def keeper(self, model: int) -> Callable[[Any], None]:
        """Return the function that takes a model's measured pictures.

        Args:
            model: index in `Drawing.models`; all others must have been measured before 0.
        """
        return self._keep if model == 0 else partial(self._keep_peer, self._waiting[model - 1])

    def _keep_peer(self, queue: _Queue, measured: Any) -> None:
        if self._drawing.most is None or queue.count < self._drawing.most:
            queue.put(self._kind.make_column(measured))

    def _keep(self, measured: Any) -> None:
        """Draw the montage of one picture, unless enough are drawn."""
        if self._drawing.most is not None and len(self._pictures) >= self._drawing.most:
            return
        columns = [self._kind.make_column(measured), *(queue.get() for queue in self._waiting)]
        name = measured.row["name"]
        drawn = {f"{name}.png": self._kind.draw(measured, list(zip(self._drawing.models, columns, strict=True)))}
        if self._drawing.separate:
            drawn |= {f"{name}/{part}.png": pixels for part, pixels in self._kind.draw_parts(measured).items()}
        for path, pixels in drawn.items():
            target = self._stage / PICTURES / path
            target.parent.mkdir(parents=True, exist_ok=True)
            write_image(target, Picture(pixels))
        self._pictures[name] = f"{PICTURES}/{name}.png"

    def finish(self, report: dict[str, Any]) -> None:
        """Write both reports, and the chart of thresholds."""
        if report.get("thresholds"):
            key = find_protocol(report["protocol"]).psnr
            write_image(self._stage / CURVE, Picture(draw_thresholds(report["thresholds"], key)))
        write_atomically(self._stage / "report.json", (json.dumps(report, allow_nan=False, indent=1) + "\n").encode())
        write_atomically(self._stage / "report.md", self._kind.render(report, self._pictures).encode())

    def close(self) -> None:
        """Remove the temporary files."""
        for queue in self._waiting:
            queue.close()


class _Queue:
    """Queue of objects in an unnamed temporary file.

    The file vanishes with the process.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the queue)
        self._read = 0
        self.count = 0
        """Number of objects put in."""

    def put(self, item: Any) -> None:
        """Append an object."""
        pickle.dump(item, self._file)
        self.count += 1

    def get(self) -> Any:
        """Take out the oldest object.

        All objects must have been put in before.
        """
        self._file.seek(self._read)
        item = pickle.load(self._file)
        self._read = self._file.tell()
        return item

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


@contextlib.contextmanager
def open_results(out: Path | None, kind: Kind, drawing: Drawing) -> Iterator[ResultFolder | None]:
    """Open the folder of results.

    The files lie hidden inside `out` until the work is done, and are removed when it fails. At the end they replace
    earlier files of their names; other files stay. Without `out` the folder is None.

    Raises:
        UserError: the folder cannot be made, or pictures are asked for without one.
    """
    if out is None:
        if drawing.most is not None or drawing.separate:
            raise UserError("--pictures and --separate say what is drawn into --out; give --out as well")
        yield None
        return
    with contextlib.ExitStack() as stack:
        try:
            if not out.exists():
                stack.callback(_remove_empty, out)
            out.mkdir(parents=True, exist_ok=True)
            stage = stack.enter_context(place_beside(out / "evaluate"))
            stage.mkdir()
        except OSError as error:
            raise UserError(f"cannot write into the folder {out}: {error.strerror}; choose another --out") from error
        results = ResultFolder(stage, out, kind, drawing)
        stack.callback(results.close)
        yield results
        _move(stage, out)


def _remove_empty(folder: Path) -> None:
    """Remove a folder if nothing is in it."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def _move(stage: Path, out: Path) -> None:
    """Move all files into place, pictures first.

    A report that is in place never lacks its pictures.
    """
    files = [path for path in stage.rglob("*") if path.is_file()]
    for file in sorted(files, key=lambda path: (path.parent == stage, path)):
        target = out / file.relative_to(stage)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
