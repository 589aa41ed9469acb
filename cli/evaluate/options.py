"""Options of `spair evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..shared.names import read_model
from ..shared.options import MODEL, OUTPUT

INPUTS, MEASURES = "Inputs", "Measures"
"""Panels of the help that this verb alone has."""

Inputs = Annotated[
    Path | None,
    typer.Option("--input", metavar="FOLDER", help="Folder of degraded pictures.", rich_help_panel=INPUTS),
]
Clean = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder of clean pictures, paired with the inputs by file stem.",
        rich_help_panel=INPUTS,
    ),
]
Mask = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder of true masks, paired by stem too; without --clean they alone are measured.",
        rich_help_panel=INPUTS,
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(metavar="LAYOUT", help="A data set as it is distributed, instead of folders.", rich_help_panel=INPUTS),
]
Root = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="With --dataset: its folder.", rich_help_panel=INPUTS)
]
Split = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="With --dataset: which of its parts, such as test.", rich_help_panel=INPUTS),
]
Only = Annotated[
    str | None,
    typer.Option(
        metavar="STEMS",
        help="Measure these pictures only: names as in the report, such as 1,5,14.",
        rich_help_panel=INPUTS,
    ),
]
Protocol = Annotated[
    Literal["rain", "raindrop", "shadow", "blur"] | None,
    typer.Option(
        help="Task whose measures are taken; the data set's when left out, or rain.", rich_help_panel=MEASURES
    ),
]
Quantize = Annotated[
    Literal["round", "floor", "none"],
    typer.Option(
        help="Output to 8 bit: round as a saved file, floor as published deraining numbers.",
        rich_help_panel=MEASURES,
    ),
]
Resize = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="PIXELS",
        help="Measure square pictures of this side, as shadow tables do at 256.",
        rich_help_panel=MEASURES,
    ),
]
Shift = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="PIXELS",
        help="Crop this border and shift by up to a third of it to fit best: 15 as for Levin's set.",
        rich_help_panel=MEASURES,
    ),
]
Thresholds = Annotated[
    str | None,
    typer.Option(
        metavar="VALUES",
        help="Also measure at these thresholds of the mask, such as 0.1,0.2,0.5: quality against time.",
        rich_help_panel=MEASURES,
    ),
]
Compare = Annotated[
    list[Path] | None,
    typer.Option(
        parser=read_model,
        metavar="MODEL",
        help="Another bundle, SPAIR checkpoint or name of shipped weights on the same pictures; repeatable.",
        rich_help_panel=MEASURES,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Folder for report.md, report.json and pictures.", rich_help_panel=OUTPUT),
]
Pictures = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="COUNT",
        help="With --out: draw the first so many only; all when left out.",
        rich_help_panel=OUTPUT,
    ),
]
Separate = Annotated[
    bool,
    typer.Option(
        "--separate",
        help="With --out: also restored, error and mask as files of their own.",
        rich_help_panel=OUTPUT,
    ),
]
Multiple = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="PIXELS",
        help="With --factory: sizes must be multiples of this inside.",
        rich_help_panel=MODEL,
    ),
]
