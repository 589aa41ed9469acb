"""`spair evaluate`: the folder of results."""

from __future__ import annotations

import contextlib
import json
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..shared.places import check_writable, make_folder

if TYPE_CHECKING:
    from .kinds import Evaluation


@dataclass(frozen=True)
class Drawing:
    """Which pictures are drawn."""

    models: tuple[str, ...]
    """Names of the models: of the one that is reported, then of its peers."""
    most: int | None = None
    """The first so many; None: all."""
    separate: bool = False
    """Also the parts of each as files of their own."""


class ResultFolder:
    """`report.md`, `report.json` and `pictures/`, written into a folder that `open_results` moves into place.

    A montage shows what all models made of a picture. Models run one after the other, the peers first: what they made
    waits, as small as it is shown, in unnamed temporary files until the reported model has done its part.
    """

    def __init__(self, stage: Path, kind: Evaluation, drawing: Drawing) -> None:
        self._stage, self._kind, self._drawing = stage, kind, drawing
        self._pictures: dict[str, str] = {}
        self._waiting = [_Queue() for _ in drawing.models[1:]]

    def keeper(self, model: int) -> Callable[[Any], None]:
        """What takes each picture as it was measured with a model of `Drawing.models`: 0 after all others."""
        return self._keep if model == 0 else partial(self._keep_peer, self._waiting[model - 1])

    def _keep_peer(self, queue: _Queue, measured: Any) -> None:
        if self._drawing.most is None or queue.count < self._drawing.most:
            queue.put(self._kind.make_column(measured))

    def _keep(self, measured: Any) -> None:
        """Draw one picture as its kind was measured, unless there are enough."""
        from ...runtime.images import Picture, write_image

        if self._drawing.most is not None and len(self._pictures) >= self._drawing.most:
            return
        columns = [self._kind.make_column(measured), *(queue.get() for queue in self._waiting)]
        name = measured.row["name"]
        drawn = {f"{name}.png": self._kind.draw(measured, list(zip(self._drawing.models, columns, strict=True)))}
        if self._drawing.separate:
            drawn |= {f"{name}/{part}.png": pixels for part, pixels in self._kind.draw_parts(measured).items()}
        for path, pixels in drawn.items():
            target = self._stage / "pictures" / path
            make_folder(target.parent)
            write_image(target, Picture(pixels))
        self._pictures[name] = f"pictures/{name}.png"

    def finish(self, report: dict[str, Any]) -> None:
        """Write both reports."""
        from ...runtime.files import write_atomically

        write_atomically(self._stage / "report.json", (json.dumps(report, allow_nan=False, indent=1) + "\n").encode())
        write_atomically(self._stage / "report.md", self._kind.render(report, self._pictures).encode())

    def close(self) -> None:
        """Let go of what waits; for use once."""
        for queue in self._waiting:
            queue.close()


class _Queue:
    """Objects on their way through an unnamed temporary file, which vanishes with the process: all in, then all out."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the queue)
        self._read = 0
        self.count = 0
        """How many were put in."""

    def put(self, item: Any) -> None:
        """Append one."""
        pickle.dump(item, self._file)
        self.count += 1

    def get(self) -> Any:
        """The first that was not taken out yet."""
        self._file.seek(self._read)
        item = pickle.load(self._file)
        self._read = self._file.tell()
        return item

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


@contextlib.contextmanager
def open_results(out: Path | None, kind: Evaluation, drawing: Drawing) -> Iterator[ResultFolder | None]:
    """The results of a run, which lie hidden inside `out` until the work is done and are removed when it fails.

    Earlier files of the same names are replaced then, others left alone. None without `out`.

    Raises:
        UserError: the folder cannot be made or written, or pictures are asked for without one.
    """
    from ...runtime.errors import UserError

    if out is None:
        if drawing.most is not None or drawing.separate:
            raise UserError("--pictures and --separate say what is drawn into --out; give --out as well")
        yield None
        return
    check_writable(out)
    made = not out.exists()
    make_folder(out)
    stage = Path(tempfile.mkdtemp(prefix=".evaluate-", dir=out))
    results = ResultFolder(stage, kind, drawing)
    try:
        yield results
        _move(stage, out)
    finally:
        results.close()
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
