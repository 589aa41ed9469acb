"""Thresholds of the mask that `spair profile` times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..pages.parts import render_table
from ..pages.pictures import embed_picture
from ..shared.output import make_table, number
from .options import CASES
from .tables import Row, describe_setting, heading, percent, same_setting

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from ...runtime import Bundle
    from ...runtime.profiling.cases import Dial, Score
    from ...runtime.profiling.profile import ProfilePlan, Source

CHART = 860
"""Largest width of the chart in pixels, its own."""
COLUMNS = ("distorted", "ms", "p90", "p99", "runs")

Thresholds = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Also time the picture at these thresholds of the mask, such as 0.1,0.2,0.5.",
        rich_help_panel=CASES,
    ),
]
Clean = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="The clean picture of --image: PSNR beside time by threshold.", rich_help_panel=CASES
    ),
]


def make_dial(
    thresholds: str | None, clean: Path | None, image: Path | None, source: Source, page: Path | None
) -> Dial | None:
    """Make the dial of the options.

    Args:
        thresholds: the list, as given.
        clean: file of the clean picture.
        image: file of the degraded one.
        source: the degraded picture.
        page: file of the page, which has a chart where the clean picture is known.

    Raises:
        ModuleNotFoundError: Pillow, which draws the chart, is not installed.
        UserError: one is no threshold, options that belong together are missing, or the clean picture cannot be read or
            has another size than the degraded one.
    """
    from ...runtime.bounds.thresholds import parse_thresholds
    from ...runtime.errors import UserError
    from ...runtime.profiling.cases import Dial

    if clean is not None and (thresholds is None or image is None):
        raise UserError(
            "--clean is the clean picture of --image, for the PSNR at --thresholds; give both too, or leave it out"
        )
    if thresholds is None:
        return None
    chosen = parse_thresholds(thresholds)
    if clean is None:
        return Dial(chosen)
    if page is not None:
        import PIL.ImageDraw  # noqa: F401 - missed now, not after minutes of measuring

    return Dial(chosen, _read_clean(clean, source), _score)


def check_mask(bundle: Bundle, plan: ProfilePlan) -> None:
    """Refuse thresholds of a network without a mask.

    Raises:
        UserError: it has none.
    """
    from ...runtime.errors import UserError

    if plan.dial is not None and bundle.manifest.kind != "spair":
        raise UserError(f"the network of {bundle.path} finds no mask, which --thresholds is about; leave it out")


def _read_clean(path: Path, source: Source) -> np.ndarray:
    """Read the clean picture.

    Raises:
        UserError: see `make_dial`.
    """
    from ...runtime.errors import UserError
    from ...runtime.profiling.profile import read_source

    pixels = read_source(path).pixels
    if pixels.shape[:2] != source.pixels.shape[:2]:
        own, other = (f"{one.shape[1]}x{one.shape[0]}" for one in (pixels, source.pixels))
        raise UserError(
            f"--clean {path} is {own}, but --image is {other}; give the clean picture of the same photograph"
        )
    return pixels


def _score(restored: np.ndarray, clean: np.ndarray, task: str) -> Score:
    """Measure the PSNR that the tables of a task print.

    A task without tables has that of rain, as in `spair evaluate`.
    """
    from ...runtime.profiling.cases import Score
    from ...training.evaluation.metrics import psnr_by_key
    from ...training.evaluation.protocols import PROTOCOLS

    key = PROTOCOLS.get(task, PROTOCOLS["rain"]).psnr
    return Score(key, psnr_by_key(key, _take_colours(restored), _take_colours(clean)))


def _take_colours(pixels: np.ndarray) -> np.ndarray:
    """Return a picture as float RGB [H, W, 3].

    Gray counts as three equal colours, and alpha does not count.
    """
    from ...runtime.profiling.profile import as_float

    return as_float(pixels[..., :3] if pixels.shape[2] > 2 else pixels[..., [0, 0, 0]])


def show_dial(report: Row, console: Console) -> None:
    """Print the times by threshold."""
    for stages in report["stages"]:
        rows = [row for row in report["dial"] if same_setting(row, stages)]
        if not rows:
            continue
        heading(console, f"thresholds of the mask, {describe_setting(stages, report)}")
        table = make_table(("threshold",), _list_columns(rows))
        for row in rows:
            table.add_row(*_list_cells(row))
        console.print(table)


def render_dial(rows: Sequence[Row]) -> Iterator[str]:
    """Render the section of the page.

    It is a table, and a chart of PSNR against time where both are known.
    """
    if not rows:
        return
    yield "<h3>Thresholds of the mask</h3>"
    if all(row["psnr"] is not None for row in rows):
        from ...training.evaluation.report.curve import draw_thresholds

        points = [{**row, "ms": row["ms"]["p50"], "processor_ms": None} for row in rows]
        chart = embed_picture(draw_thresholds(points, "psnr"), lossless=True, width=CHART)
        yield f'<p><img src="{chart}" alt="PSNR against milliseconds by threshold" style="max-width:100%"></p>'
    yield render_table(("threshold", *_list_columns(rows)), map(_list_cells, rows), "numbers")


def _list_columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """List the titles of the columns behind the threshold."""
    if rows[0]["psnr"] is None:
        return (*COLUMNS, "")
    from ...training.evaluation.protocols import TITLES

    return (*COLUMNS, f"{TITLES[rows[0]['measure']]} (dB)", "")


def _list_cells(row: Row) -> list[str]:
    """List the cells of a row."""
    times = [number(row["ms"][key], 1) for key in ("p50", "p90", "p99")]
    quality = [] if row["psnr"] is None else [number(row["psnr"], 2)]
    own = "the model's" if row["own"] else ""
    return [f"{row['threshold']:g}", percent(row["density"]), *times, str(row["runs"]), *quality, own]
