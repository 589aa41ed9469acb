"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .names import read_model

MODEL, OUTPUT, LIMITS = "Model", "Output", "Limits"
"""Panels of the help that several verbs have."""

Model = Annotated[
    Path,
    typer.Argument(
        parser=read_model,
        metavar="MODEL",
        help="A bundle (folder NAME.spair), a served graph (NAME.onnx), a checkpoint, or a name of shipped weights.",
        show_default=False,
    ),
]
Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL...",
        help="Bundles (folders NAME.spair) or names of shipped weights; NAME=MODEL gives another name.",
        show_default=False,
    ),
]
MaxQueue = Annotated[
    int,
    typer.Option(min=1, metavar="REQUESTS", help="Most requests that wait for a model.", rich_help_panel=LIMITS),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object on stdout; progress stays on stderr.", rich_help_panel=OUTPUT),
]
Precision = Annotated[
    str,
    typer.Option(
        metavar="PRECISION",
        help="fp32, another one that the bundle has graphs for, or auto.",
        rich_help_panel=MODEL,
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        metavar="BACKEND",
        help="auto, tensorrt, onnxruntime, cpu or cuda for bundles; torch for checkpoints, also the one of a name.",
        rich_help_panel=MODEL,
    ),
]
TrustCode = Annotated[
    bool,
    typer.Option(
        "--trust-code",
        help="Run the bundle's plugins and engines though they were built elsewhere; they are code with your rights.",
        rich_help_panel=MODEL,
    ),
]
ExpectDigest = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SHA256",
        help="Refuse a model with another digest, see spair inspect; repeat it for several models.",
        rich_help_panel=MODEL,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, metavar="COUNT", help="CPU threads; all cores when left out.", rich_help_panel=MODEL),
]
Threshold = Annotated[
    str | None,
    typer.Option(
        metavar="VALUE",
        help="Probability above which a pixel is restored, 0 (all) to 1 (none), or fast, balanced or best; lower "
        "restores more and takes longer. The model's own when left out.",
        rich_help_panel=MODEL,
    ),
]
Flips = Annotated[
    int,
    typer.Option(
        metavar="1|2|4",
        help="Average the results of so many mirrored pictures; errs less and takes that many times as long.",
        rich_help_panel=MODEL,
    ),
]
Tile = Annotated[
    int | None,
    typer.Option(
        min=8,
        metavar="PIXELS",
        help="Largest side of the pieces a picture is cut into; smaller takes less memory.",
        rich_help_panel=MODEL,
    ),
]
Factory = Annotated[
    str | None,
    typer.Option(
        metavar="PKG.MOD:FUNC",
        help="For other people's networks: the function that builds the torch module.",
        rich_help_panel=MODEL,
    ),
]
ForceDense = Annotated[
    bool,
    typer.Option("--force-dense", help="Compute every pixel of every tile with distortion.", rich_help_panel=MODEL),
]
ForcePacked = Annotated[
    bool,
    typer.Option(
        "--force-packed",
        help="Compute distorted pixels only, however many they are (bundles).",
        rich_help_panel=MODEL,
    ),
]
