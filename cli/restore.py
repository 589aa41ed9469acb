"""Verb `restore`, which restores picture files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .shared.failures import FAILED
from .shared.models import Execution, choose_path, open_model
from .shared.options import OUTPUT, Backend, ForceDense, ForcePacked, Json, Model, Precision, Threads, Tile, TrustCode
from .shared.output import counting, deliver, number
from .shared.places import check_writable, make_folder

EXAMPLES = """\b
Examples:
  spair restore rain photo.jpg --out restored
  spair restore rain-tiny.spair photos 'more/*.png' --out restored --recursive --save-mask --skip-existing
"""


Inputs = Annotated[list[str], typer.Argument(metavar="INPUT...", help="Pictures, folders or patterns.")]
Out = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Folder for the results; made when missing.", rich_help_panel=OUTPUT)
]
SaveMask = Annotated[bool, typer.Option("--save-mask", help="Also write NAME.mask.png.", rich_help_panel=OUTPUT)]
Recursive = Annotated[bool, typer.Option("--recursive", help="Look into subfolders of input folders.")]
SkipExisting = Annotated[
    bool,
    typer.Option(
        "--skip-existing", help="Leave pictures alone whose results are there already.", rich_help_panel=OUTPUT
    ),
]


def restore(
    model: Model,
    inputs: Inputs,
    out: Out,
    recursive: Recursive = False,
    precision: Precision = "fp32",
    backend: Backend = "auto",
    threads: Threads = None,
    tile: Tile = None,
    force_dense: ForceDense = False,
    force_packed: ForcePacked = False,
    trust_code: TrustCode = False,
    save_mask: SaveMask = False,
    skip_existing: SkipExisting = False,
    as_json: Json = False,
) -> None:
    """Restore picture files.

    The exit code is 0 only when none failed.
    """
    from ..runtime.batch.jobs import run_jobs
    from ..runtime.batch.planning import plan_jobs
    from ..runtime.errors import UserError
    from ..runtime.images.finding import find_inputs

    check_writable(out)
    # Earlier results inside an input folder are not inputs; an output folder that is an input itself gets refused.
    exclude = None if any(os.path.realpath(path) == os.path.realpath(out) for path in inputs) else out
    jobs = plan_jobs(find_inputs(inputs, recursive=recursive, exclude=exclude), out, save_mask=save_mask)
    execution = Execution(precision, backend, threads, tile, choose_path(force_dense, force_packed), trust_code)
    with open_model(model, execution) as restorer:
        if save_mask and not restorer.has_mask:
            raise UserError(f"{model} is a network without a mask; leave out --save-mask")
        make_folder(out)
        with counting("restoring") as progress:
            report = run_jobs(restorer, jobs, resume=skip_existing, progress=progress)
    deliver({**report.to_json(), "backend": restorer.backend}, as_json, _show)
    if not report.ok:
        raise typer.Exit(FAILED)


def _show(report: dict[str, Any], console: Console) -> None:
    table = Table("picture", box=None, pad_edge=False)
    for title in ("size", "distorted", "seconds", "skipped", "packed", "dense"):
        table.add_column(title, justify="right")
    for image in report["images"]:
        tiles = [str(image["tiles"][kind]) for kind in ("skipped", "packed", "dense")]
        size = f"{image['width']}x{image['height']}"
        table.add_row(escape(image["output"]), size, number(100 * image["density"], 1, " %"),
                      number(image["seconds"]), *tiles)  # fmt: skip
    if report["images"]:
        console.print(table)
        console.print(f"restored on {report['backend']}", markup=False)
    if report["skipped"]:
        console.print(f"{len(report['skipped'])} left alone: their results are there already", markup=False)
    for failure in report["failed"]:
        named = failure["error"] if failure["input"] in failure["error"] else f"{failure['input']}: {failure['error']}"
        typer.echo(f"error: {named}", err=True)
