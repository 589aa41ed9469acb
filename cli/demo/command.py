"""Verb `demo`, the main job on sample photographs."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ..shared.options import OUTPUT, Json, Threads, Tile
from ..shared.output import counting, decibel, deliver, make_table, working
from ..shared.places import check_writable
from .precisions import calibrate_demo, show_precisions, summarise_precisions

EXAMPLES = """\b
Examples:
  spair demo
  spair demo --out demo --checkpoint runs/rain-tiny/rain-tiny.safetensors
"""

SHIPPED = "rain-tiny.safetensors"

Out = Annotated[
    Path,
    typer.Option(metavar="FOLDER", help="Folder for the bundle, the pictures and the report.", rich_help_panel=OUTPUT),
]
Checkpoint = Annotated[Path | None, typer.Option(metavar="FILE", help="A SPAIR checkpoint; else the shipped one.")]
Repeat = Annotated[
    int, typer.Option(min=1, metavar="COUNT", help="Timed runs of dense and of adaptive; the median counts.")
]


def demo(
    out: Out = Path("demo"),
    checkpoint: Checkpoint = None,
    threads: Threads = None,
    tile: Tile = None,
    repeat: Repeat = 3,
    as_json: Json = False,
) -> None:
    """Restore sample photos end to end.

    Exports the shipped checkpoint, calibrates it to FP16 and INT8, restores rainy photos on ONNX Runtime in every
    precision, prints tables and writes a report.
    """
    check_writable(out)
    source = checkpoint or find_shipped()
    bundle = out / f"{source.stem}.spair"
    with working("loading PyTorch") as progress:
        from ...runtime.files import write_atomically
        from ...runtime.machine.report import describe_machine
        from ...training.evaluation.samples import summarise_samples, try_samples
        from .page import render_report

        facts = export_bundle(source, bundle, progress)
    calibrated = calibrate_demo(bundle, threads)
    lower = [precision for precision, entry in calibrated.items() if entry["passed"]]
    with counting("restoring") as count:
        results = try_samples(bundle, lower, threads=threads, tile=tile, repeat=repeat, progress=count)
    with working("writing the report"):
        for result in results:
            result.save(out / "pictures")
        report = {
            "bundle": str(bundle),
            "report": str(out / "report.html"),
            "machine": describe_machine(),
            "model": facts,
            "threads": threads,
            "repeat": repeat,
            "images": [result.to_json() for result in results],
            "summary": summarise_samples(results),
            "precisions": summarise_precisions(calibrated, results),
        }
        write_atomically(out / "report.html", render_report(report, results).encode())
    deliver(report, as_json, _show)


def find_shipped() -> Path:
    """Return the path of the shipped checkpoint.

    Raises:
        UserError: this installation has no such file.
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
    """Export a checkpoint and return facts about the model."""
    from ...export.exporter import export_checkpoint
    from ...network import load_checkpoint
    from ...network.cost import parameters
    from ...runtime.files import sha256

    loaded = load_checkpoint(checkpoint)
    exported = export_checkpoint(checkpoint, out, force=True, progress=progress)
    training = _read_training(checkpoint, loaded.training)
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


def _read_training(checkpoint: Path, text: str) -> dict[str, Any]:
    from ...runtime.bounds.values import parse_json
    from ...runtime.errors import UserError

    try:
        training = parse_json(text) if text else {}
        if not isinstance(training, dict) or not isinstance(training.get("scores", {}), dict):
            raise ValueError("it is no table with a table of scores")
    except ValueError as error:
        raise UserError(
            f"cannot read what {checkpoint} says about its training: {error}; "
            "save it with spair.network.save_checkpoint"
        ) from error
    return training


def read_card(checkpoint: Path) -> str:
    """Read the first paragraph of a model card.

    The card is the Markdown file of the same name beside the checkpoint. Without one the text is empty.
    """
    from ...runtime.bounds.files import read_text
    from ...runtime.errors import UserError

    card = checkpoint.with_suffix(".md")
    if not card.is_file():
        return ""
    try:
        paragraphs = read_text(card).replace("\r\n", "\n").split("\n\n")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the model card {card}: {error}; mend it, or move it away") from error
    prose = [" ".join(text.split()) for text in paragraphs if text.strip() and text.lstrip()[0] not in "#|-`<!>"]
    return prose[0].replace("**", "").replace("`", "") if prose else ""


def _show(report: dict[str, Any], console: Console) -> None:
    from ...runtime.machine.report import machine_line

    numbers = ("dB before", "dB after", "distorted", "dense s", "adaptive s", "speed-up")
    table = make_table(("photo", "rain"), numbers)
    for row in report["images"]:
        table.add_row(row["name"], row["rain"], decibel(row["psnr_y_before"]), decibel(row["psnr_y_after"]),
                      f"{100 * row['density']:.1f} %", f"{row['dense_seconds']:.2f}",
                      f"{row['adaptive_seconds']:.2f}", f"{row['speedup']:.2f} x")  # fmt: skip
    console.print(table)
    notes = (
        "dB: PSNR on luma; dense: every pixel computed; adaptive: tiles without distortion skipped, "
        "others computed on their distorted pixels where those are few"
    )
    console.print(notes, soft_wrap=True)
    show_precisions(report["precisions"], console)
    console.print(machine_line(report["machine"]), soft_wrap=True)
    console.print(f"bundle {report['bundle']}", soft_wrap=True)
    console.print(f"report {report['report']}", soft_wrap=True)
