"""`spair evaluate`: measure a model on degraded pictures with known targets."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .evaluate_files import Drawing, ResultFolder, Sources, open_results
from .models import Execution, choose_path, open_model
from .options import Backend, Factory, ForceDense, ForcePacked, Json, Model, Precision, Threads, Tile
from .output import counting, deliver, number

if TYPE_CHECKING:
    from ..runtime import Restorer
    from ..training.pairs import Pair

EXAMPLES = """\b
Examples:
  spair evaluate rain-tiny.spair --input rainy --target clean --out scores
  spair evaluate shadow.spair --input shadow --target free --mask masks --protocol shadow --json
  spair evaluate blur.spair --dataset gopro --root GOPRO_Large --split test
  spair evaluate rain-tiny.spair --compare prenet.spair --quantize floor --input rainy --target clean
  spair evaluate prenet.pth --factory models.prenet:build --quantize floor --input rainy --target clean
"""

Protocol = Literal["rain", "raindrop", "shadow", "blur"]
Quantize = Literal["round", "floor", "none"]


def evaluate(
    model: Model,
    inputs: Annotated[Path | None, typer.Option("--input", help="Folder of degraded pictures.")] = None,
    target: Annotated[
        Path | None, typer.Option(help="Folder of clean pictures, paired with the inputs by file stem.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="Folder of true masks, paired likewise.")] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="LAYOUT", help="A data set as it is distributed, instead of folders.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="With --dataset: its folder.")] = None,
    split: Annotated[str | None, typer.Option(help="With --dataset: which of its parts, such as test.")] = None,
    protocol: Annotated[
        Protocol | None,
        typer.Option(help="Which task's measures; the data set's when left out, or rain."),
    ] = None,
    quantize: Annotated[
        Quantize, typer.Option(help="Output to 8 bit: round as a saved file, floor as published deraining numbers.")
    ] = "round",
    resize: Annotated[
        int | None,
        typer.Option(min=1, metavar="SIDE", help="Measure at SIDE x SIDE pixels, as shadow tables do at 256."),
    ] = None,
    shift: Annotated[
        int,
        typer.Option(
            min=0, metavar="PX", help="Crop PX pixels and shift by up to a third to fit best: 15 as for Levin's set."
        ),
    ] = 0,
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PEER",
            help="Another bundle (other people's networks too) or SPAIR checkpoint on the same pictures; repeatable.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.md, report.json and pictures.")] = None,
    pictures: Annotated[
        int | None, typer.Option(min=0, help="With --out: draw the first so many only; all when left out.")
    ] = None,
    separate: Annotated[
        bool, typer.Option("--separate", help="With --out: also restored, error and mask as files of their own.")
    ] = False,
    precision: Precision = "fp32",
    backend: Backend = "auto",
    threads: Threads = None,
    tile: Tile = None,
    force_dense: ForceDense = False,
    force_packed: ForcePacked = False,
    factory: Factory = None,
    multiple: Annotated[int, typer.Option(min=1, help="With --factory: sizes must be multiples of this inside.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure on pictures with known targets.

    Prints PSNR and SSIM before and after, and errors of masks and shadows.
    """
    from ..training.published import describe

    sources = Sources(inputs, target, mask, dataset, root, split)
    task = protocol or sources.task() or "rain"
    execution = Execution(precision, backend, threads, tile, choose_path(force_dense, force_packed))
    how = {"protocol": task, "quantize": quantize, "resize": resize, "shift": shift}
    with ExitStack() as stack:
        results = stack.enter_context(open_results(out, Drawing(task, model.name, pictures, separate)))
        restorers = [stack.enter_context(open_model(model, execution, factory=factory, multiple=multiple))]
        restorers += [stack.enter_context(open_model(peer, execution)) for peer in compare or []]
        pairs = sources.find()
        report, *peers = (
            _measure(path, restorer, pairs, how, results if restorer is restorers[0] else None)
            for path, restorer in zip((model, *(compare or [])), restorers, strict=True)
        )
        report |= {"dataset": sources.to_json(), "published": describe(task, dataset, split, len(pairs))}
        if peers:
            report["compare"] = [{key: one[key] for key in one if key != "images"} for one in peers]
        if results is not None:
            results.finish(report)
    deliver(report, as_json, partial(_show, out=out))


def _measure(
    path: Path, restorer: Restorer, pairs: list[Pair], how: dict[str, Any], results: ResultFolder | None
) -> dict[str, Any]:
    from ..training.evaluation import evaluate as measure

    keep = None if results is None else results.keep
    with counting(f"{path.name}:") as progress:
        return measure(restorer, pairs, **how, model=str(path), progress=progress, keep=keep)


def _show(report: dict[str, Any], console: Console, out: Path | None = None) -> None:
    from ..training.protocols import find_protocol
    from ..training.tables import REGIONS, TITLES, label_models

    models, protocol = [report, *report.get("compare", [])], find_protocol(report["protocol"])
    labels = label_models([one["model"] for one in models])
    table = Table("", "input", *map(escape, labels), box=None, pad_edge=False)
    for region in REGIONS if protocol.lab else ():
        values = [number(one["rmse"][region]) for one in (report["input"], *models)]
        table.add_row(f"RMSE Lab {region.replace('_', '-')}", *values)
    for key in protocol.measures:
        unit, digits = (" (dB)", 2) if key.startswith("psnr") else ("", 4)
        table.add_row(TITLES[key] + unit, *(number(one[key], digits) for one in (report["input"], *models)))
    table.add_row(
        "distorted", f"{_percent(report['true_density'])} true", *(_percent(one["density"]) for one in models)
    )
    for key in ("precision", "recall", "iou"):
        table.add_row(f"mask {key}", "", *(number((one["mask"] or {}).get(key), 3) for one in models))
    console.print(table)
    console.print(f"{_setting(report)}", markup=False, highlight=False, soft_wrap=True)
    if out is not None:
        console.print(f"report {out / 'report.md'}", markup=False, highlight=False, soft_wrap=True)


def _setting(report: dict[str, Any]) -> str:
    words = [
        f"{report['count']} pictures",
        f"protocol {report['protocol']}",
        f"output to 8 bit: {report['quantize']}",
        f"true masks: {report['mask_source']}",
    ]
    if report["resize"] is not None:
        words.append(f"measured at {report['resize']}x{report['resize']}")
    if report["shift"]:
        words.append(f"cropped by {report['shift']} and shifted to fit best")
    return ", ".join(words)


def _percent(share: float | None) -> str:
    return number(None if share is None else 100 * share, 1, " %")
