"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    Path,
    typer.Argument(
        help="A bundle (folder NAME.spair), a checkpoint file, or the name of shipped weights.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; progress stays on stderr.")]
Precision = Annotated[str, typer.Option(help="fp32, another one the bundle has graphs for, or auto.")]
Backend = Annotated[str, typer.Option(help="auto, onnxruntime or cuda for bundles; a checkpoint always runs on torch.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores when left out.")]
Tile = Annotated[
    int | None,
    typer.Option(min=8, help="Largest side in pixels of the pieces a picture is cut into; smaller takes less memory."),
]
Factory = Annotated[
    str | None,
    typer.Option(
        metavar="PKG.MOD:FUNC", help="For other people's networks: the function that builds the torch module."
    ),
]
ForceDense = Annotated[bool, typer.Option("--force-dense", help="Compute every pixel of every tile with distortion.")]
ForcePacked = Annotated[
    bool, typer.Option("--force-packed", help="Compute distorted pixels only, however many they are (bundles).")
]
