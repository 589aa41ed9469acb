"""Verb `calibrate`, which converts a bundle to FP16 or INT8."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..shared.deprecation import TARGETS, take_renamed
from ..shared.models import read_expected
from ..shared.names import refuse_name
from ..shared.options import ExpectDigest, Json, Threads
from ..shared.output import counting, deliver, note
from ..shared.places import check_page
from . import options
from .page import render_report
from .tables import show_calibration

EXAMPLES = """\b
Examples:
  spair calibrate rain-tiny.spair --images rainy --clean clean --precision fp16
  spair calibrate rain-tiny.spair --images rainy --clean clean --precision int8 --html int8.html
  spair calibrate rain-tiny.spair --images rainy --precision int8 --calibrator entropy --json
  spair calibrate rain-tiny.spair --images rainy --precision int8 --quantize weights
  spair calibrate rain-tiny.spair --images rainy --precision fp16 --quick --pictures 8
"""


def calibrate(
    model: options.Bundle,
    images: options.Images,
    precision: options.Precision,
    clean: options.Clean = None,
    targets: Annotated[Path | None, typer.Option(TARGETS.old, hidden=True)] = None,
    calibrator: options.Calibrator = "mse",
    percentile: options.Percentile = 99.99,
    statistics: options.Statistics = "masked",
    quantize: options.Quantize = "both",
    tile: options.Tile = 192,
    tiles: options.Tiles = 12,
    max_loss: options.MaxLoss = None,
    assumed_psnr: options.AssumedPsnr = 40.0,
    pictures: options.Pictures = 32,
    side: options.Side = 1024,
    quick: options.Quick = False,
    fresh: options.Fresh = False,
    html: options.Html = None,
    threads: Threads = None,
    expect_digest: ExpectDigest = None,
    as_json: Json = False,
) -> None:
    """Convert a bundle's graphs to FP16 or INT8.

    Measures what each layer loses on real pictures, keeps the most sensitive ones in a higher precision until the
    gate holds, stores the graphs in the bundle, and says what it cost. A missed gate is a failed command (exit code 1)
    and leaves the bundle as it was. Measurements are kept as they are made: a run that was interrupted goes on where
    it stopped.
    """
    clean = take_renamed(clean, targets, TARGETS)
    check_page(html)
    refuse_name(model, "calibrate")
    from ...calibration import Options, calibrate_bundle
    from ...runtime.files import write_atomically

    settings = Options(
        precision, calibrator, statistics, quantize, percentile, tile, tiles, max_loss, assumed_psnr, threads,
        pictures, side, quick,
    )  # fmt: skip
    expected = read_expected(expect_digest)
    report = calibrate_bundle(
        model, images, settings, targets=clean, fresh=fresh, expect_digest=expected, progress=counting, announce=note
    )
    if html is not None:
        write_atomically(html, render_report(report).encode())
    deliver({**report, "html": html and str(html)}, as_json, show_calibration)
