"""`spair evaluate`: measure a model on degraded pictures with known targets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .models import Execution, choose_path, open_model
from .options import Backend, Factory, ForceDense, ForcePacked, Json, Model, Precision, Threads, Tile
from .output import counting, deliver, number

EXAMPLES = """\b
Examples:
  spair evaluate rain-tiny.spair --input rainy --target clean
  spair evaluate shadow.spair --input shadow --target free --mask masks --protocol shadow --json
  spair evaluate prenet.pth --factory models.prenet:build --quantize floor --input rainy --target clean
"""

Protocol = Literal["rain", "raindrop", "shadow", "blur"]
Quantize = Literal["round", "floor", "none"]


def evaluate(
    model: Model,
    inputs: Annotated[Path, typer.Option("--input", help="Folder of degraded pictures.")],
    target: Annotated[Path, typer.Option(help="Folder of clean pictures, paired with the inputs by file stem.")],
    mask: Annotated[Path | None, typer.Option(help="Folder of true masks, paired likewise.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="Which task's measures.")] = "rain",
    quantize: Annotated[
        Quantize, typer.Option(help="Output to 8 bit: round as a saved file, floor as published deraining numbers.")
    ] = "round",
    compare: Annotated[
        list[Path] | None,
        typer.Option(help="Another bundle or SPAIR checkpoint to measure on the same pictures; may be repeated."),
    ] = None,
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
    from ..training.evaluation import evaluate as measure
    from ..training.pairs import pair_folders

    pairs = pair_folders(inputs, target, mask)
    execution = Execution(precision, backend, threads, tile, choose_path(force_dense, force_packed))
    reports = []
    for path in (model, *(compare or [])):
        own = {"factory": factory, "multiple": multiple} if path == model else {}
        with open_model(path, execution, **own) as restorer, counting(f"{path.name}:") as progress:  # type: ignore[arg-type]
            reports.append(measure(restorer, pairs, protocol, quantize, model=str(path), progress=progress))
    report = reports[0]
    if compare:
        report["compare"] = [{key: value for key, value in other.items() if key != "images"} for other in reports[1:]]
    deliver(report, as_json, _show)


def _show(report: dict[str, Any], console: Console) -> None:
    models = [report, *report.get("compare", [])]
    table = Table("", "input", *(escape(Path(other["model"]).name) for other in models), box=None, pad_edge=False)
    for key, title, digits in (
        ("psnr_y", "PSNR luma (dB)", 2), ("ssim_y", "SSIM luma", 4),
        ("psnr_rgb", "PSNR RGB (dB)", 2), ("ssim_rgb", "SSIM RGB", 4),
    ):  # fmt: skip
        table.add_row(title, number(report["input"][key], digits), *(number(m[key], digits) for m in models))
    table.add_row("distorted", "", *(_percent(m["density"]) for m in models))
    for key in ("precision", "recall", "iou"):
        if "mask" in report:
            table.add_row(f"mask {key}", "", *(number((m["mask"] or {}).get(key), 3) for m in models))
    for region in ("shadow", "non_shadow", "all"):
        if "rmse" in report:
            values = [number(m["rmse"][region]) for m in models]
            table.add_row(f"RMSE Lab {region.replace('_', '-')}", number(report["input"]["rmse"][region]), *values)
    console.print(table)
    console.print(
        f"{report['count']} pictures, protocol {report['protocol']}, output to 8 bit: {report['quantize']}",
        markup=False,
    )


def _percent(share: float | None) -> str:
    return number(None if share is None else 100 * share, 1, " %")
