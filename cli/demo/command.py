"""`spair demo`: the main job on sample photos, from the shipped checkpoint to a table and an HTML report."""

from __future__ import annotations

import importlib.resources
import json
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ...runtime.machine.report import describe_machine, machine_line
from ...training.data.photos import PHOTOS, sample_photos
from ..shared.options import Json, Threads, Tile
from ..shared.output import counting, decibel, deliver, working
from ..shared.places import check_writable, make_folder
from .page import render_report
from .precisions import calibrate_demo, show_precisions, summarise_precisions
from .samples import SampleResult, try_sample

EXAMPLES = """\b
Examples:
  spair demo
  spair demo --out demo --checkpoint runs/rain-tiny/rain-tiny.safetensors
"""

SHIPPED = "rain-tiny.safetensors"


def demo(
    out: Annotated[Path, typer.Option(help="Folder for bundle, pictures and report.")] = Path("demo"),
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Another SPAIR checkpoint than the shipped one."),
    ] = None,
    threads: Threads = None,
    tile: Tile = None,
    repeat: Annotated[int, typer.Option(min=1, help="Timed runs of each way; the median counts.")] = 3,
    as_json: Json = False,
) -> None:
    """Restore sample photos end to end.

    Exports the shipped checkpoint, calibrates it to FP16 and INT8, restores rainy photos on ONNX Runtime in every
    precision, prints tables and writes a report.
    """
    check_writable(out)
    source = checkpoint or find_shipped()
    bundle_path = out / f"{source.stem}.spair"
    with working("loading PyTorch") as progress:
        facts = export_bundle(source, bundle_path, progress)
    calibrated = calibrate_demo(bundle_path, threads)
    trials = _run_trials(bundle_path, calibrated, threads, tile, repeat)
    pictures = out / "pictures"
    with working("writing the report"):
        for trial in trials:
            _save_pictures(trial, pictures)
        report = {
            "bundle": str(bundle_path),
            "report": str(out / "report.html"),
            "machine": describe_machine(),
            "model": facts,
            "threads": threads,
            "repeat": repeat,
            "images": [trial.to_json() for trial in trials],
            "summary": summarise(trials),
            "precisions": summarise_precisions(calibrated, trials),
        }
        _write(out / "report.html", render_report(report, trials).encode())
    deliver(report, as_json, _show)


def find_shipped() -> Path:
    """The shipped checkpoint.

    Raises:
        UserError: this installation has none.
    """
    from ...runtime.errors import UserError

    path = Path(str(importlib.resources.files("spair.network.weights") / SHIPPED))
    if not path.is_file():
        raise UserError(
            f"the shipped checkpoint {SHIPPED} is missing from this installation ({path.parent}); "
            "reinstall spair-rt, or name a checkpoint with --checkpoint"
        )
    return path


def export_bundle(checkpoint: Path, out: Path, progress: Any) -> dict[str, Any]:
    """Export, and what the report says about the model."""
    from ...export.exporter import export_checkpoint
    from ...network import load_checkpoint
    from ...network.cost import parameters
    from ...runtime.files import sha256

    loaded = load_checkpoint(checkpoint)
    exported = export_checkpoint(checkpoint, out, force=True, progress=progress)
    training = json.loads(loaded.training) if loaded.training else {}
    return {
        "checkpoint": checkpoint.name,
        "sha256": sha256(checkpoint),
        "task": loaded.task,
        "preset": exported["preset"],
        "parameters": parameters(loaded.model),
        "parity": {key: exported["parity"][key] for key in ("cases", "max_abs", "mean_abs", "passed")},
        "operators": exported["operators"],
        "steps": training.get("step"),
        "scores": training.get("scores", {}),
        "card": read_card(checkpoint),
    }


def read_card(checkpoint: Path) -> str:
    """The first paragraph of the model card beside a checkpoint, as plain text; "" without a card."""
    card = checkpoint.with_suffix(".md")
    if not card.is_file():
        return ""
    paragraphs = card.read_text(encoding="utf-8").replace("\r\n", "\n").split("\n\n")
    prose = [" ".join(text.split()) for text in paragraphs if text.strip() and text.lstrip()[0] not in "#|-`<!>"]
    return prose[0].replace("**", "").replace("`", "") if prose else ""


def summarise(trials: Sequence[SampleResult]) -> dict[str, Any]:
    """Means per kind of rain; the speed-up is that of the summed seconds."""
    groups: dict[str, list[SampleResult]] = {}
    for trial in trials:
        groups.setdefault(trial.sample.rain, []).append(trial)
    return {
        rain: {
            "count": len(group),
            "psnr_y_before": statistics.fmean(trial.psnr_before for trial in group),
            "psnr_y_after": statistics.fmean(trial.psnr_after for trial in group),
            "density": statistics.fmean(float(trial.mask.mean()) for trial in group),
            "dense_seconds": sum(trial.dense_seconds for trial in group),
            "adaptive_seconds": sum(trial.adaptive_seconds for trial in group),
            "speedup": sum(t.dense_seconds for t in group) / sum(t.adaptive_seconds for t in group),
        }
        for rain, group in groups.items()
    }


def _run_trials(
    path: Path, calibrated: Mapping[str, Any], threads: int | None, tile: int | None, repeat: int
) -> list[SampleResult]:
    from ...runtime import Bundle, Restorer
    from ...runtime.profiling.cases import RunSetting, open_baseline

    bundle = Bundle.open(path)
    trials = []
    with ExitStack() as stack:

        def enter(precision: str) -> Restorer:
            opened = Restorer.open(path, backend="onnxruntime", precision=precision, threads=threads, tile=tile)
            return stack.enter_context(opened)

        restorer = enter("fp32")
        lower = {precision: enter(precision) for precision, entry in calibrated.items() if entry["passed"]}
        dense = stack.enter_context(open_baseline(bundle, RunSetting(threads=threads)))
        progress = stack.enter_context(counting("restoring"))
        for done, sample in enumerate(sample_photos(), start=1):
            trials.append(try_sample(sample, restorer, dense, repeat, lower))
            progress(done, 2 * len(PHOTOS) + 1, f"{sample.name} in {sample.rain} rain")
    return trials


def _save_pictures(trial: SampleResult, folder: Path) -> None:
    from ...runtime.images import Picture, write_image

    make_folder(folder)
    mask = trial.mask[..., None].astype(np.uint8) * np.uint8(255)
    parts = {"clean": trial.sample.clean, "input": trial.sample.degraded, "restored": trial.restored, "mask": mask}
    for part, pixels in parts.items():
        write_image(folder / f"{trial.sample.name}-{trial.sample.rain}-{part}.png", Picture(pixels))


def _write(path: Path, data: bytes) -> None:
    from ...runtime.files import write_atomically

    write_atomically(path, data)


def _show(report: dict[str, Any], console: Console) -> None:
    table = Table("photo", "rain", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("dB before", "dB after", "distorted", "dense s", "adaptive s", "speed-up"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in report["images"]:
        table.add_row(row["name"], row["rain"], decibel(row["psnr_y_before"]), decibel(row["psnr_y_after"]),
                      f"{100 * row['density']:.1f} %", f"{row['dense_seconds']:.2f}",
                      f"{row['adaptive_seconds']:.2f}", f"{row['speedup']:.2f} x")  # fmt: skip
    console.print(table)
    notes = (
        "dB: PSNR on luma; dense: every pixel computed; adaptive: tiles without distortion skipped, "
        "others computed on their distorted pixels where those are few"
    )
    console.print(notes, markup=False, highlight=False, soft_wrap=True)
    show_precisions(report["precisions"], console)
    console.print(machine_line(report["machine"]), markup=False, highlight=False, soft_wrap=True)
    console.print(f"bundle {report['bundle']}\nreport {report['report']}", markup=False, soft_wrap=True)
