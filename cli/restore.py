"""Verb `restore`, which restores picture files."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .shared.failures import FAILED
from .shared.help import INTERRUPTED
from .shared.models import Execution, choose_path, list_causes, open_model, read_expected
from .shared.options import (
    OUTPUT,
    Backend,
    ExpectDigest,
    ForceDense,
    ForcePacked,
    Json,
    Model,
    Precision,
    Threads,
    Tile,
    TrustCode,
)
from .shared.output import counting, deliver, note, number, tell
from .shared.places import check_writable, make_folder, read_folder

if TYPE_CHECKING:
    from ..runtime.batch.jobs import BatchReport, FailureRecord
    from ..runtime.batch.planning import Job
    from ..runtime.batch.saving import Saving
    from ..serving.cluster.setting import ClusterSetting, ModelSetting

CLUSTER = "Cluster"
"""Panel of the help."""
INTERRUPTED_BATCH = "interrupted"
"""Reason in the report of a batch that Ctrl-C ended."""

EXAMPLES = """\b
Examples:
  spair restore rain photo.jpg --out restored
  spair restore rain-tiny.spair photos 'more/*.png' --out restored --recursive --save-mask --skip-existing
  spair restore rain-tiny.spair photos --out restored --ray auto
"""


Inputs = Annotated[list[str], typer.Argument(metavar="INPUT...", help="Pictures, folders or patterns.")]
Out = Annotated[
    Path,
    typer.Option(
        parser=read_folder, metavar="FOLDER", help="Folder for the results; made when missing.", rich_help_panel=OUTPUT
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT",
        help="png, jpeg, webp or tiff for all results; when left out, the format of each input.",
        rich_help_panel=OUTPUT,
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="PERCENT",
        help="Quality of JPEG (95 when left out) and of WebP, up to 100.",
        rich_help_panel=OUTPUT,
    ),
]
Suffix = Annotated[
    str,
    typer.Option(metavar="TEXT", help="Text behind the stem of each name, as _restored.", rich_help_panel=OUTPUT),
]
Range = Annotated[
    str | None,
    typer.Option("--range", metavar="LOW:HIGH", help="Range of float pictures, for example 0:255; 0:1 when left out."),
]
AcceptDamaged = Annotated[
    bool, typer.Option("--accept-damaged", help="Restore damaged pictures as far as they can be decoded.")
]
SaveMask = Annotated[bool, typer.Option("--save-mask", help="Also write NAME.mask.png.", rich_help_panel=OUTPUT)]
Recursive = Annotated[bool, typer.Option("--recursive", help="Look into subfolders of input folders.")]
SkipExisting = Annotated[
    bool,
    typer.Option(
        "--skip-existing",
        help="Leave pictures alone whose results are there already, made from the same picture, model and options.",
        rich_help_panel=OUTPUT,
    ),
]

MaxPixels = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="COUNT",
        help="Largest picture that is read, in pixels; 500 million when left out.",
    ),
]

Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Restore on the nodes of a Ray cluster: auto, local or HOST:PORT.",
        rich_help_panel=CLUSTER,
    ),
]
Actors = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="COUNT",
        help="Models open at a time on the cluster; when left out, as many as its cores hold with --threads.",
        rich_help_panel=CLUSTER,
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
    expect_digest: ExpectDigest = None,
    save_mask: SaveMask = False,
    skip_existing: SkipExisting = False,
    max_pixels: MaxPixels = None,
    format: Format = None,
    quality: Quality = None,
    suffix: Suffix = "",
    float_range: Range = None,
    accept_damaged: AcceptDamaged = False,
    ray: Ray = None,
    actors: Actors = None,
    as_json: Json = False,
) -> None:
    """Restore picture files.

    The exit code is 0 only when none failed, and 130 after Ctrl-C, which ends the batch with its report.
    """
    cluster = _read_cluster(ray, actors)
    check_writable(out)
    saving = _read_saving(format, quality, suffix, float_range, accept_damaged)
    jobs = _plan(inputs, out, recursive, save_mask, saving, max_pixels)
    path = choose_path(force_dense, force_packed)
    execution = Execution(precision, backend, threads, tile, path, trust_code, read_expected(expect_digest))
    report, facts = _run(model, execution, jobs, out, cluster, save_mask, skip_existing)
    deliver({**report.to_json(), **facts}, as_json, _show)
    if report.stopped == INTERRUPTED_BATCH:
        raise typer.Exit(INTERRUPTED)
    if not report.ok:
        raise typer.Exit(FAILED)


def _run(
    model: Path,
    execution: Execution,
    jobs: list[Job],
    out: Path,
    cluster: ClusterSetting | None,
    save_mask: bool,
    resume: bool,
) -> tuple[BatchReport, dict[str, Any]]:
    """Run the jobs here or on a cluster.

    Returns:
        The report, and facts about the model that was used.

    Raises:
        UserError: the model cannot be opened, or has no mask to save; the folder cannot be made.
    """
    from ..runtime.batch.jobs import run_jobs
    from ..runtime.batch.ledger import Ledger
    from ..runtime.errors import UserError

    with open_model(model, execution) as restorer:
        if save_mask and not restorer.has_mask:
            raise UserError(f"{model} is a network without a mask; leave out --save-mask")
        facts = {
            "backend": restorer.backend,
            "backend_reason": restorer.remark,
            "warnings": list(restorer.warnings),
        }
        setting = None if cluster is None else _read_setting(model, execution, restorer.backend)
        make_folder(out)
        ledger = Ledger(out, list_causes(restorer, execution))
        if cluster is None or setting is None:
            with counting("restoring") as progress:
                report = run_jobs(restorer, jobs, resume=resume, ledger=ledger, progress=progress, announce=_announce)
            return report, facts
    from ..serving.cluster.run import run_on_cluster  # the model is closed here: this machine may be a node as well

    with counting("restoring") as progress:
        found = run_on_cluster(setting, jobs, out, cluster, resume=resume, ledger=ledger, progress=progress)
    for failure in found.failed:
        _announce(failure)
    return found, facts


def _read_saving(
    format: str | None, quality: int | None, suffix: str, float_range: str | None, accept_damaged: bool
) -> Saving:
    """Check the options of the results before long work.

    Raises:
        UserError: an option is out of range, or two do not fit together.
    """
    from ..runtime.batch.saving import Saving
    from ..runtime.errors import UserError

    bounds = None
    if float_range is not None:
        try:
            low, high = (float(part) for part in float_range.split(":"))
        except ValueError as error:
            raise UserError(f"--range {float_range!r} is not of the form LOW:HIGH, for example 0:255") from error
        bounds = low, high
    return Saving(format, quality, suffix, accept_damaged, bounds)


def _announce(failure: FailureRecord) -> None:
    """Print a failure at once.

    On a terminal it comes in the end, because it would tear the progress bar.
    """
    if not sys.stderr.isatty():
        tell(_describe_failure(failure.input, failure.error))


def _describe_failure(file: str, error: str) -> str:
    return f"error: {error if file in error else f'{file}: {error}'}"


def _plan(
    inputs: list[str], out: Path, recursive: bool, save_mask: bool, saving: Saving, max_pixels: int | None
) -> list[Job]:
    from ..runtime.batch.planning import plan_jobs
    from ..runtime.images import MAX_PIXELS
    from ..runtime.images.finding import find_inputs

    check_writable(out)
    # Earlier results inside an input folder are not inputs; an output folder that is an input itself gets refused.
    exclude = None if any(os.path.realpath(path) == os.path.realpath(out) for path in inputs) else out
    found = find_inputs(inputs, recursive=recursive, exclude=exclude, announce=note)
    return plan_jobs(found, out, save_mask=save_mask, saving=saving, max_pixels=max_pixels or MAX_PIXELS)


def _read_cluster(address: str | None, actors: int | None) -> ClusterSetting | None:
    """Check the options of the cluster.

    Ray is looked for as well, before long work.
    """
    from ..runtime.errors import UserError

    if address is None:
        if actors is not None:
            raise UserError(f"--actors {actors} is for a cluster; give its address with --ray, or leave it out")
        return None
    from ..serving.cluster.connection import load_ray
    from ..serving.cluster.setting import ClusterSetting

    setting = ClusterSetting(address, actors)
    load_ray()
    return setting


def _read_setting(model: Path, execution: Execution, backend: str) -> ModelSetting:
    """Translate the options for actors.

    All take the backend that was found here.
    """
    from ..runtime.errors import UserError, quote
    from ..serving.cluster.run import name_model
    from ..serving.cluster.setting import ModelSetting

    if backend == "torch":
        raise UserError(
            f"{model} is a checkpoint, and a cluster runs bundles; export it first: "
            f"spair export {quote(model)} --out NAME.spair"
        )
    return ModelSetting(
        name_model(model), backend, execution.precision, execution.threads, execution.tile, execution.tile_path,
        execution.trust_code, execution.expect_digest,
    )  # fmt: skip


def _show(report: dict[str, Any], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("picture", overflow="fold")
    for title in ("size", "distorted", "seconds", "skipped", "packed", "dense"):
        table.add_column(title, justify="right")
    for image in report["images"]:
        tiles = [str(image["tiles"][kind]) for kind in ("skipped", "packed", "dense")]
        size = f"{image['width']}x{image['height']}"
        table.add_row(image["output"], size, number(100 * image["density"], 1, " %"),
                      number(image["seconds"]), *tiles)  # fmt: skip
    if report["images"]:
        console.print(table)
        where = f", {report['actors']} actors on {report['nodes']} nodes" if "nodes" in report else ""
        why = f": {report['backend_reason']}" if report["backend_reason"] else ""
        console.print(f"restored on {report['backend']}{where}{why}", soft_wrap=True)
    if report["skipped"]:
        console.print(f"{len(report['skipped'])} left alone: their results are there already")
    _show_notes(report)
    if sys.stderr.isatty():  # elsewhere each was printed as it came
        for failure in report["failed"]:
            tell(_describe_failure(failure["input"], failure["error"]))
    if report["stopped"]:
        done, left = len(report["images"]), report["left"]
        first = f", from {left[0]} on" if left else ""
        tell(
            f"{report['stopped']}: {done} restored, {len(report['failed'])} failed, {len(left)} left{first}; "
            "go on with --skip-existing"
        )


def _show_notes(report: dict[str, Any]) -> None:
    """Print what is unusual about results."""
    copied = sum(image["copied"] for image in report["images"])
    if copied:
        note(f"{copied} clean pictures are copies of their files")
    for image in report["images"]:
        if image["note"]:
            note(f"{image['output']}: {image['note']}")
    dropped = [image for image in report["images"] if image["dropped"]]
    kinds = list(dict.fromkeys(kind for image in dropped for kind in image["dropped"]))
    if dropped:
        note(f"{len(dropped)} results have no more {', '.join(kinds)} ({dropped[0]['output']})")
