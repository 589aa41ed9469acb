"""Verb `repository`, which writes a model repository for Triton."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ..shared.models import read_expected
from ..shared.names import name_models
from ..shared.options import LIMITS, MODEL, OUTPUT, ExpectDigest, Json, MaxQueue, Models
from ..shared.output import deliver, working
from ..shared.places import check_writable
from ..shared.sizes import parse_size

EXAMPLES = """\b
Examples:
  spair repository rain-tiny.spair --out triton
  spair repository rain night=my-night.spair --out triton --device cuda --batch 4 --triton 26.08
  spair repository rain-tiny.spair --out triton --device tensorrt --target local --triton 24.12
"""

TRITON = "Triton"
"""Panel of the help."""


def repository(
    models: Models,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Repository to write.", rich_help_panel=OUTPUT)],
    device: Annotated[
        str,
        typer.Option(
            metavar="DEVICE",
            help="cpu, cuda (both by ONNX Runtime), or tensorrt, which takes engines of spair build.",
            rich_help_panel=TRITON,
        ),
    ] = "cpu",
    triton: Annotated[
        str | None,
        typer.Option(
            metavar="RELEASE", help="Container, for example 24.12; the newest known if not.", rich_help_panel=TRITON
        ),
    ] = None,
    tensorrt: Annotated[
        str,
        typer.Option(
            metavar="VERSION", help="TensorRT of the container, where the table lacks it.", rich_help_panel=TRITON
        ),
    ] = "",
    target: Annotated[
        str,
        typer.Option(
            metavar="TARGET", help="With tensorrt: target that the engines were built for.", rich_help_panel=TRITON
        ),
    ] = "local",
    instances: Annotated[
        int,
        typer.Option(
            min=1, metavar="COUNT", help="Copies of each model that compute at a time.", rich_help_panel=TRITON
        ),
    ] = 1,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="PICTURES",
            help="With cuda: most pictures computed at a time, 4 if not; an engine has its own number.",
            rich_help_panel=TRITON,
        ),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(min=0, metavar="COUNT", help="With cpu: threads of a copy; 0 for all.", rich_help_panel=TRITON),
    ] = 0,
    usual_size: Annotated[
        str,
        typer.Option(metavar="SIZE", help="Width x height that models are warmed up with.", rich_help_panel=TRITON),
    ] = "1280x720",
    max_pixels: Annotated[
        int, typer.Option(min=1, metavar="PIXELS", help="Most pixels of a picture file.", rich_help_panel=LIMITS)
    ] = 8_388_608,
    max_queue: MaxQueue = 32,
    timeout: Annotated[
        float,
        typer.Option(min=0.001, metavar="SECONDS", help="Longest time that a request waits.", rich_help_panel=LIMITS),
    ] = 60.0,
    precision: Annotated[
        str, typer.Option(metavar="PRECISION", help="Precision of the graphs or engines.", rich_help_panel=MODEL)
    ] = "fp32",
    expect_digest: ExpectDigest = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an older repository.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a model repository for Triton Inference Server.

    It holds each model as a graph or engine, a model that takes picture files, and a page on how to start Triton.
    """
    check_writable(out.parent)
    from ...serving.repository.releases import find_release
    from ...serving.repository.settings import Settings
    from ...serving.repository.write import write_repository

    settings = Settings(
        device=device,
        release=find_release(triton),
        precision=precision,
        target=target,
        tensorrt=tensorrt,
        instances=instances,
        threads=threads,
        batch=batch or (4 if device == "cuda" else 1),
        queue=max_queue,
        seconds=timeout,
        usual=parse_size("--usual-size", usual_size),
        pixels=max_pixels,
    )
    expected = read_expected(expect_digest)
    with working("writing") as progress:
        report = write_repository(
            name_models(models), out, settings, force=force, expect_digest=expected, progress=progress
        )
    deliver(report, as_json, _show)


def _show(report: dict[str, Any], console: Console) -> None:
    lines = [f"repository {report['out']}, for Triton {report['triton']}; its README.md says how to start it"]
    lines += [f"model      {model['name']}: {model['platform']}" for model in report["models"]]
    lines.append(f"start      {report['command']}")
    for line in lines:
        console.print(line, soft_wrap=True)
