"""`spair train`: run a training configuration."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .options import Json, Threads
from .output import deliver, finite_or_null, working
from .places import check_writable

EXAMPLES = """\b
Examples:
  spair train training/configs/rain-tiny.toml
  spair train my-rain.toml --out runs --threads 4 --json
"""


def train(
    config: Annotated[Path, typer.Argument(help="A TOML file; see training/configs.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the runs; an interrupted run continues.")] = Path("runs"),
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Train a network.

    Ctrl-C stops it; the same command continues from the last epoch.
    """
    check_writable(out)
    with working("loading PyTorch"):
        from ..training.config import load_config

        settings = load_config(config)
        from ..training.run import train as run
    report = _run(run, settings, out, threads)
    deliver(finite_or_null(report), as_json, _show)


def _run(run: Any, settings: Any, out: Path, threads: int | None) -> dict[str, Any]:
    with contextlib.redirect_stdout(sys.stderr):  # Lightning's bar
        return run(settings, out, progress=True, threads=threads)


def _show(report: dict[str, Any], console: Console) -> None:
    console.print(f"checkpoint {report['checkpoint']} after {report['steps']} steps", markup=False, soft_wrap=True)
    for name, value in sorted(report["scores"].items()):
        console.print(f"  {name:24} {'–' if value is None else format(value, '.4f')}", markup=False)
