"""`spair calibrate`: a bundle gets graphs in FP16 or INT8, held to an accuracy gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..shared.names import refuse_name
from ..shared.options import Json, Threads
from ..shared.output import counting, deliver
from ..shared.places import check_page
from .page import render_page
from .tables import show_calibration

EXAMPLES = """\b
Examples:
  spair calibrate rain-tiny.spair --images rainy --targets clean --precision fp16
  spair calibrate rain-tiny.spair --images rainy --targets clean --precision int8 --html int8.html
  spair calibrate rain-tiny.spair --images rainy --precision int8 --calibrator entropy --json
  spair calibrate rain-tiny.spair --images rainy --precision int8 --quantize weights
  spair calibrate rain-tiny.spair --images rainy --precision fp16 --quick --pictures 8
"""


def calibrate(
    model: Annotated[Path, typer.Argument(help="A bundle (folder NAME.spair).", show_default=False)],
    images: Annotated[Path, typer.Option(help="Folder of degraded pictures like those that will be restored.")],
    precision: Annotated[Literal["fp16", "int8"], typer.Option(help="What the graphs are converted to.")],
    targets: Annotated[
        Path | None,
        typer.Option(help="Folder of the clean pictures, paired by file stem; without it losses are estimated."),
    ] = None,
    calibrator: Annotated[
        Literal["minmax", "percentile", "entropy", "mse"],
        typer.Option(help="How an activation's int8 range follows from what was seen."),
    ] = "mse",
    percentile: Annotated[
        float, typer.Option(help="With --calibrator percentile: share of values, in %, that are not clipped.")
    ] = 99.99,
    statistics: Annotated[
        Literal["masked", "all"],
        typer.Option(help="Sparse layers: ranges from the pixels they read under the mask, or from all."),
    ] = "masked",
    quantize: Annotated[
        Literal["both", "weights", "activations"],
        typer.Option(help="int8: weights or activations alone are a diagnosis, which stores nothing."),
    ] = "both",
    tile: Annotated[int, typer.Option(help="Side in pixels of the pieces that layers are measured on.")] = 192,
    tiles: Annotated[int, typer.Option(help="How many, chosen to cover the densities.")] = 12,
    max_loss: Annotated[
        float | None,
        typer.Option(
            metavar="DB", help="The gate; left out: 0.02 for fp16, 0.10 for int8, 0.25 for int8 of others' networks."
        ),
    ] = None,
    assumed_psnr: Annotated[
        float, typer.Option(metavar="DB", help="Without --targets: what the fp32 output is taken to reach.")
    ] = 40.0,
    pictures: Annotated[int, typer.Option(help="At most so many of the folder, evenly spaced by name.")] = 32,
    side: Annotated[int, typer.Option(help="Of larger pictures, the middle of this side in pixels is used.")] = 1024,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure single layers only if the gate fails without, and time none.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not go on from what an earlier run measured.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write a self-contained page with a plot.")] = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Convert a bundle's graphs to FP16 or INT8, and store them in it.

    Measures what each layer loses on real pictures, keeps the most sensitive ones in a higher precision until the
    gate holds, and says what it cost. A missed gate is a failed command (exit code 1) and leaves the bundle as it was.
    Measurements are kept as they are made: a run that was interrupted goes on where it stopped.
    """
    from ...runtime.files import write_atomically

    check_page(html)
    refuse_name(model, "calibrate")
    from ...calibration import Options, calibrate_bundle

    options = Options(
        precision, calibrator, statistics, quantize, percentile, tile, tiles, max_loss, assumed_psnr, threads,
        pictures, side, quick,
    )  # fmt: skip
    report = calibrate_bundle(model, images, options, targets=targets, fresh=fresh, progress=counting)
    if html is not None:
        write_atomically(html, render_page(report).encode())
    deliver({**report, "html": html and str(html)}, as_json, show_calibration)
