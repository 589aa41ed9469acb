"""The verb `spair train`, which runs a training configuration."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from .shared.options import Json, Threads
from .shared.output import deliver, finite_or_null, number, tell, working
from .shared.places import check_writable

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLES = """\b
Examples:
  spair train quickstart                      needs no data: a few minutes on one core
  spair train rain-tiny-start --data rain=Rain100 --data photos=BSDS500
  spair train my-rain.yaml --out runs --threads 4 --json
  spair train my-blur.toml --accelerator gpu --devices 4
"""

Accelerator = Literal["auto", "cpu", "gpu"]


def train(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG", help="A TOML or YAML file, or the name of a shipped configuration.", show_default=False
        ),
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FOLDER",
            help="Folder of a data root; may be repeated.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of the runs; an interrupted run continues.")
    ] = Path("runs"),
    threads: Threads = None,
    accelerator: Annotated[Accelerator, typer.Option(help="auto takes a GPU if there is one.")] = "auto",
    devices: Annotated[int, typer.Option(metavar="COUNT", min=1, help="GPUs, or CPU processes, on this machine.")] = 1,
    nodes: Annotated[
        int, typer.Option(metavar="COUNT", min=1, help="Machines; start the same command on each (see README).")
    ] = 1,
    as_json: Json = False,
) -> None:
    """Train a network.

    Ctrl-C stops it (exit code 130), and so does SIGTERM (143); the same command continues from the last epoch.
    """
    check_writable(out)
    roots = parse_roots(data or [])
    with working("loading PyTorch"):
        from ..training.config_file import load_config

        settings = load_config(config, roots, runs=out)
        from ..training.run import Devices
        from ..training.run import train as run
    report = _run(run, settings, out, Devices(accelerator, devices, nodes, threads))
    if report["rank"] == 0:  # the other processes of a distributed run are silent
        deliver(finite_or_null({key: value for key, value in report.items() if key != "rank"}), as_json, _show)


def parse_roots(given: list[str]) -> dict[str, Path]:
    """Split the values of `--data` into names and folders.

    ["rain=Rain100"] becomes {"rain": Path("Rain100")}.

    Raises:
        UserError: a value has another form, or a name is given twice.
    """
    from ..runtime.errors import UserError

    roots: dict[str, Path] = {}
    for text in given:
        name, separator, folder = text.partition("=")
        if not (name and separator and folder):
            raise UserError(f"--data {text} has the wrong form; expected NAME=FOLDER, as in --data rain=Rain100")
        if name in roots:
            raise UserError(f"--data gives the data root {name} twice, as {roots[name]} and {folder}; give it once")
        roots[name] = Path(folder)
    return roots


def _run(run: Any, settings: Any, out: Path, devices: Any) -> dict[str, Any]:
    from ..training.loop.interruption import TERMINATED

    try:
        with contextlib.redirect_stdout(sys.stderr):  # Lightning's bar
            return run(settings, out, progress=True, devices=devices)
    except (KeyboardInterrupt, SystemExit) as error:
        if isinstance(error, KeyboardInterrupt) or error.code == TERMINATED:
            tell("stopped: the same command continues after the last epoch that was saved")
        raise


def _show(report: dict[str, Any], console: Console) -> None:
    from ..runtime.errors import quote

    def say(words: str) -> None:
        console.print(words, soft_wrap=True)

    say(f"checkpoint {report['checkpoint']} after {report['steps']} steps")
    if report["steps_per_second"] is not None:
        say(
            f"  {report['steps_per_second']:.2f} steps per second, {report['data_share']:.1%} of the time waiting for "
            "samples (last stage)"
        )
    for name, value in sorted(report["scores"].items()):
        say(f"  {name:24} {'–' if value is None else format(value, '.4f')}")
    checkpoint = Path(report["checkpoint"])
    if scores := report["held_out"]:
        console.print()
        console.print(_tabulate(scores))
        for name in scores["pictures"]:
            say(f"  {checkpoint.parent / scores['folder'] / name}")
    console.print()
    say("next:")
    bundle = Path(f"{checkpoint.stem}.spair")
    say(f"  spair export {quote(checkpoint)} --out {quote(bundle)}")
    say(f"  spair restore {quote(bundle)} PHOTOS --out restored")


def _tabulate(scores: dict[str, Any]) -> Table:
    """Make the table of held-out pictures before and after restoration."""
    from rich.table import Table

    from ..training.evaluation.protocols import find_protocol

    protocol = find_protocol(scores["protocol"])
    table = Table("held-out picture", box=None, pad_edge=False)
    for title in ("PSNR before", "after (dB)", "gain", "SSIM before", "after"):
        table.add_column(title, justify="right")
    for row in (*scores["images"], {**scores, "name": f"mean of {scores['count']}"}):
        before, after = row["input"], row
        table.add_row(
            row["name"],
            number(before[protocol.psnr]),
            number(after[protocol.psnr]),
            f"{after[protocol.psnr] - before[protocol.psnr]:+.2f}",
            number(before[protocol.ssim], 3),
            number(after[protocol.ssim], 3),
        )
    return table
