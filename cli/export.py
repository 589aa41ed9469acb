"""Verb `spair export`, which makes a bundle of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .shared.names import find_checkpoint, read_model
from .shared.options import Factory, Json
from .shared.output import deliver, working
from .shared.places import check_writable

EXAMPLES = """\b
Examples:
  spair export rain-tiny.safetensors --out rain-tiny.spair
  spair export prenet.pth --factory models.prenet:build --multiple 1 --out prenet.spair
"""


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            parser=read_model,
            metavar="MODEL",
            help="Checkpoint, a .safetensors, .pt, .pth or .ckpt file, or the name of shipped weights.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Bundle to write, a folder NAME.spair.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    preset: Annotated[
        str | None, typer.Option(metavar="PRESET", help="Network size, where the file does not name it.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(metavar="TASK", help="Task that the network was trained for, for example rain.")
    ] = None,
    factory: Factory = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", metavar="NAME:CHANNELS", help="With --factory: an input of the network; repeat it, in order."
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output", metavar="NAME", help="With --factory: name of an output; the first is the restored picture."
        ),
    ] = None,
    multiple: Annotated[
        int,
        typer.Option(
            min=1, metavar="PIXELS", help="With --factory: number that divides every height and width inside."
        ),
    ] = 1,
    min_size: Annotated[
        int,
        typer.Option(min=1, metavar="PIXELS", help="With --factory: smallest height and width of the network."),
    ] = 1,
    as_json: Json = False,
) -> None:
    """Export a checkpoint to a bundle.

    The graphs are compared with PyTorch before the bundle is written; a failed comparison is a failed export.
    """
    check_writable(out.parent)
    _check_options(factory, preset, bool(inputs or outputs or multiple != 1 or min_size != 1))
    checkpoint = find_checkpoint(checkpoint)
    with working("loading PyTorch") as progress:
        from ..export.exporter import export_checkpoint, export_foreign
        from ..export.foreign import ForeignInterface

        if factory is None:
            report = export_checkpoint(checkpoint, out, preset=preset, task=task, force=force, progress=progress)
        else:
            parsed = tuple(_parse_input(text) for text in inputs or ["image:3"])
            interface = ForeignInterface(parsed, tuple(outputs or ["restored"]), multiple, min_size)
            report = export_foreign(
                checkpoint, factory, out, interface=interface, task=task or "", force=force, progress=progress
            )
    deliver(report, as_json, _show)


def _check_options(factory: str | None, preset: str | None, describes_network: bool) -> None:
    """Refuse options that do not fit together.

    Raises:
        UserError: --preset stands beside --factory, or options that describe the network stand without --factory.
    """
    from ..runtime.errors import UserError

    if factory is None and describes_network:
        raise UserError("--input, --output, --multiple and --min-size describe the network of --factory; give that too")
    if factory is not None and preset is not None:
        raise UserError("--preset is for SPAIR checkpoints and --factory for others; give one of the two")


def _parse_input(text: str) -> tuple[str, int]:
    from ..runtime.errors import UserError

    name, _, channels = text.rpartition(":")
    if not name or not channels.isdecimal():
        raise UserError(f"--input {text!r} is not of the form NAME:CHANNELS, for example image:3")
    return name, int(channels)


def _show(report: dict[str, Any], console: Console) -> None:
    parity = report["parity"]
    operators = ", ".join(f"{count} {name}" for name, count in report["operators"].items()) or "none"
    console.print(f"bundle     {report['bundle']}", markup=False, soft_wrap=True)
    console.print(
        f"network    {report['preset']}, task {report['task'] or 'not given'}, opset {report['opset']}", markup=False
    )
    console.print(f"operators  {operators}", markup=False)
    console.print(
        f"parity     passed {parity['cases']} cases, largest difference from PyTorch {parity['max_abs']:.1e}",
        markup=False,
    )
