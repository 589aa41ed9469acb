"""Verb `spair inspect`, which shows and verifies a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .shared.models import is_checkpoint, read_expected
from .shared.names import find_bundle
from .shared.options import OUTPUT, ExpectDigest, Json, Model
from .shared.output import deliver, working

EXAMPLES = """\b
Examples:
  spair inspect rain-tiny.spair
  spair inspect rain-tiny.safetensors --json
  spair inspect rain.onnx
  spair inspect rain-tiny.spair --polygraphy rain-polygraphy
"""


def inspect(
    model: Model,
    polygraphy: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder to make for NVIDIA's Polygraphy: engines, plugins, graphs, pictures and command lines.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    expect_digest: ExpectDigest = None,
    as_json: Json = False,
) -> None:
    """Show and verify a bundle, checkpoint or served graph.

    Prints task, size, work per pixel and precisions, and checks the hash of every file.
    """
    from ..export.inspection import inspect_bundle, inspect_checkpoint, inspect_served
    from ..runtime.served.network import is_served

    path, expected = find_bundle(model), read_expected(expect_digest)
    if polygraphy is not None:
        _refuse_checkpoint(path)
    with working("reading") as progress:
        inspect_one = (
            inspect_checkpoint if is_checkpoint(path) else inspect_served if is_served(path) else inspect_bundle
        )
        report = inspect_one(path, expected)
        if polygraphy is not None:
            from ..export.polygraphy.folder import write_polygraphy

            report["polygraphy"] = write_polygraphy(path, polygraphy, progress, expect_digest=expected)
    deliver({**report, "model": str(model)}, as_json, _show)


def _refuse_checkpoint(path: Path) -> None:
    """Refuse a checkpoint, which has no engines.

    Raises:
        UserError: the path is a checkpoint's.
    """
    from ..runtime.errors import UserError

    if is_checkpoint(path):
        raise UserError(
            f"--polygraphy is for the engines of a bundle, and {path} is a checkpoint; export it with spair export and "
            "build engines with spair build"
        )


def _show(report: dict[str, Any], console: Console) -> None:
    facts = Table.grid(padding=(0, 2))
    for key in ("kind", "preset", "task", "parameters"):
        value = report[key]
        facts.add_row(key, f"{value:,}" if isinstance(value, int) else str(value or "not known"))
    facts.add_row("precisions", ", ".join(report["precisions"]))
    facts.add_row("targets", ", ".join(report["targets"]) or "none built")
    facts.add_row("digest", report["digest"])
    for name, check in report["checks"].items():
        facts.add_row(name, _describe(check))
    console.print(facts)
    if report["macs"]:
        table = Table("block", box=None, pad_edge=False)
        table.add_column("parameters", justify="right")
        table.add_column("multiply-adds per pixel", justify="right")
        table.add_column("share", justify="right")
        for name, count in report["macs"].items():
            size, share = report["parameters_by_block"][name], report["macs_share"][name]
            table.add_row(name, f"{size:,}", f"{count:,.0f}", f"{100 * share:.1f} %")
        console.print()
        console.print(table)
    if "polygraphy" in report:
        console.print()
        for line in _describe_folder(report["polygraphy"]):
            console.print(line, soft_wrap=True)


def _describe_folder(written: dict[str, Any]) -> list[str]:
    """Describe the folder for Polygraphy, with its thresholds."""
    lines = [f"Polygraphy {len(written['files'])} files in {written['folder']}; begin with its README.md"]
    for precision, values in written["thresholds"].items():
        named = ", ".join(f"{name} {values[name]} dB" for name in ("restored", "mask", "total"))
        lines.append(f"thresholds {precision}: {named}")
    return lines


def _describe(check: Any) -> str:
    if not isinstance(check, dict):
        return "ok" if check else "failed"
    word = "ok" if check.get("passed") else "not passed"
    rest = ", ".join(f"{key} {value:.1e}" if isinstance(value, float) else f"{key} {value}"
                     for key, value in check.items() if key != "passed" and value is not None)  # fmt: skip
    return f"{word} ({rest})" if rest else word
