"""`spair train`: run a training configuration."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from .shared.options import Json, Threads
from .shared.output import deliver, finite_or_null, working
from .shared.places import check_writable

EXAMPLES = """\b
Examples:
  spair train training/configs/rain-tiny-start.toml
  spair train my-rain.yaml --out runs --threads 4 --json
  spair train my-blur.toml --accelerator gpu --devices 4
"""

Accelerator = Literal["auto", "cpu", "gpu"]


def train(
    config: Annotated[Path, typer.Argument(metavar="FILE", help="A TOML or YAML file; see training/configs.")],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of the runs; an interrupted run continues.")
    ] = Path("runs"),
    threads: Threads = None,
    accelerator: Annotated[Accelerator, typer.Option(help="auto takes a GPU if there is one.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, metavar="COUNT", help="GPUs, or CPU processes, on this machine.")] = 1,
    nodes: Annotated[
        int, typer.Option(min=1, metavar="COUNT", help="Machines; start the same command on each (see README).")
    ] = 1,
    as_json: Json = False,
) -> None:
    """Train a network.

    Ctrl-C stops it (exit code 130), and so does SIGTERM (143); the same command continues from the last epoch.
    """
    check_writable(out)
    with working("loading PyTorch"):
        from ..training.config_file import load_config

        settings = load_config(config)
        from ..training.run import Devices
        from ..training.run import train as run
    report = _run(run, settings, out, Devices(accelerator, devices, nodes, threads))
    if report["rank"] == 0:  # the other processes of a distributed run are silent
        deliver(finite_or_null({key: value for key, value in report.items() if key != "rank"}), as_json, _show)


def _run(run: Any, settings: Any, out: Path, devices: Any) -> dict[str, Any]:
    from ..training.loop.interruption import TERMINATED

    try:
        with contextlib.redirect_stdout(sys.stderr):  # Lightning's bar
            return run(settings, out, progress=True, devices=devices)
    except (KeyboardInterrupt, SystemExit) as error:
        if isinstance(error, KeyboardInterrupt) or error.code == TERMINATED:
            typer.echo("stopped: the same command continues after the last epoch that was saved", err=True)
        raise


def _show(report: dict[str, Any], console: Console) -> None:
    console.print(f"checkpoint {report['checkpoint']} after {report['steps']} steps", markup=False, soft_wrap=True)
    if report["steps_per_second"] is not None:
        console.print(
            f"  {report['steps_per_second']:.2f} steps per second, {report['data_share']:.1%} of the time waiting for "
            "samples (last stage)",
            markup=False,
        )
    for name, value in sorted(report["scores"].items()):
        console.print(f"  {name:24} {'–' if value is None else format(value, '.4f')}", markup=False)
