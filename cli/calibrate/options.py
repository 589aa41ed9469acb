"""Options of `spair calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..shared.names import read_model
from ..shared.options import OUTPUT

INPUTS, RANGES, GATE = "Inputs", "Ranges", "Gate"
"""Panels of the help that this verb alone has."""

Bundle = Annotated[Path, typer.Argument(parser=read_model, metavar="MODEL", help="A bundle (folder NAME.spair).")]
Images = Annotated[
    Path,
    typer.Option(
        metavar="FOLDER",
        help="Folder of degraded pictures like those that will be restored.",
        rich_help_panel=INPUTS,
    ),
]
Clean = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder of the clean pictures, paired by file stem; without it losses are estimated.",
        rich_help_panel=INPUTS,
    ),
]
Pictures = Annotated[
    int,
    typer.Option(metavar="COUNT", help="Largest number of pictures, evenly spaced by name.", rich_help_panel=INPUTS),
]
Side = Annotated[
    int,
    typer.Option(metavar="PIXELS", help="Of larger pictures, the middle of this side is used.", rich_help_panel=INPUTS),
]
Precision = Annotated[
    Literal["fp16", "int8", "bf16", "int8-bf16"],
    typer.Option(
        help="What the graphs are converted to; bf16 and int8-bf16 are only measured, with --backend cpu.",
        rich_help_panel=RANGES,
    ),
]
Calibrator = Annotated[
    Literal["minmax", "percentile", "entropy", "mse"],
    typer.Option(help="How an activation's int8 range follows from its values.", rich_help_panel=RANGES),
]
Percentile = Annotated[
    float,
    typer.Option(
        metavar="PERCENT",
        help="With --calibrator percentile: share of values that are not clipped.",
        rich_help_panel=RANGES,
    ),
]
Statistics = Annotated[
    Literal["masked", "all"],
    typer.Option(
        help="Sparse layers: ranges from the pixels they read under the mask, or from all.", rich_help_panel=RANGES
    ),
]
Quantize = Annotated[
    Literal["both", "weights", "activations"],
    typer.Option(
        help="int8: weights or activations alone are a diagnosis, which stores nothing.", rich_help_panel=RANGES
    ),
]
Tile = Annotated[
    int,
    typer.Option(metavar="PIXELS", help="Side of the pieces that layers are measured on.", rich_help_panel=RANGES),
]
Tiles = Annotated[
    int,
    typer.Option(
        metavar="COUNT", help="Number of these pieces, chosen to cover the densities.", rich_help_panel=RANGES
    ),
]
MaxLoss = Annotated[
    float | None,
    typer.Option(
        metavar="DB",
        help="Loss allowed; when left out 0.02 for fp16 and bf16, 0.10 for int8 and int8-bf16, 0.25 for int8 of "
        "others' networks.",
        rich_help_panel=GATE,
    ),
]
AssumedPsnr = Annotated[
    float,
    typer.Option(
        metavar="DB", help="Without --clean: PSNR that the fp32 output is taken to reach.", rich_help_panel=GATE
    ),
]
Quick = Annotated[
    bool,
    typer.Option(
        "--quick",
        help="Measure single layers only if the gate fails without, and time none.",
        rich_help_panel=GATE,
    ),
]
Fresh = Annotated[
    bool,
    typer.Option("--fresh", help="Do not go on from what an earlier run measured.", rich_help_panel=GATE),
]
Html = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Also write a self-contained page with a plot.", rich_help_panel=OUTPUT),
]
