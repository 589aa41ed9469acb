"""Verb `spair export`, which makes bundles and served graphs."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .shared.models import check_checkpoint, read_expected
from .shared.names import find_bundle, find_checkpoint, read_model
from .shared.options import ExpectDigest, Factory, Json
from .shared.output import deliver, working
from .shared.places import check_page, check_writable

EXAMPLES = """\b
Examples:
  spair export rain-tiny.safetensors --out rain-tiny.spair
  spair export rain --served rain.onnx
  spair export swinir.pth --out swinir.spair
  spair export drunet.pth --side-input noise=25/255 --out drunet.spair
  spair export prenet.pth --factory models.prenet:build --multiple 1 --out prenet.spair
"""


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            parser=read_model,
            metavar="MODEL",
            help="Checkpoint, a file of safetensors or PyTorch, or the name of shipped weights; or a bundle, with "
            "--served alone.",
        ),
    ],
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Bundle to write, a folder NAME.spair.")] = None,
    served: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="ONNX file NAME.onnx to write, for other programs: bytes in, bytes out."),
    ] = None,
    precision: Annotated[
        str, typer.Option(metavar="PRECISION", help="With --served: a precision that the bundle has.")
    ] = "fp32",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle or file.")] = False,
    preset: Annotated[
        str | None, typer.Option(metavar="PRESET", help="Network size, where the file does not name it.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(metavar="TASK", help="Task that the network was trained for, for example rain.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Dictionary of the file to take, as params_ema; the fitting one if left out."),
    ] = None,
    factory: Factory = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", metavar="NAME:CHANNELS", help="Another network: an input of the network; repeat it, in order."
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output", metavar="NAME", help="Another network: name of an output; the first is the restored picture."
        ),
    ] = None,
    multiple: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="PIXELS",
            help="Another network: number that divides height and width inside; 1 if unknown.",
        ),
    ] = None,
    min_size: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="PIXELS", help="Another network: smallest height and width it takes; 1 if unknown."
        ),
    ] = None,
    expect_digest: ExpectDigest = None,
    picture: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|INDEX",
            help="Another network: output that is the restored picture, where several can be; -1 is the last.",
        ),
    ] = None,
    side_inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--side-input",
            metavar="NAME=VALUE",
            help="Another network: constant input beside the picture, such as noise=25/255; repeat it, in order.",
        ),
    ] = None,
    output_range: Annotated[
        str | None,
        typer.Option(
            metavar="RANGE",
            help="Another network: range of the network's output, 0..1, -1..1 or 0..255; measured when left out.",
        ),
    ] = None,
    colour: Annotated[
        str | None,
        typer.Option(
            metavar="WAY",
            help="Another network of one channel: channels, the default, restores each colour, luma the brightness.",
        ),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE,...",
            help="Another network: heights and widths, as 256x256, to export for, where free sizes cannot be.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Export a checkpoint to a bundle or ONNX file.

    The graphs are compared with PyTorch before the bundle is written; a failed comparison is a failed export. The file
    of --served restores pictures in any program that runs ONNX.

    Another network than SPAIR is recognised by its weights, or is built by --factory.
    """
    from ..runtime.errors import UserError

    _check_served(out, served, precision, force)
    expected = read_expected(expect_digest)
    if out is None:
        assert served is not None
        deliver({"served": _write_served(checkpoint, served, precision, force, expected)}, as_json, _show)
        return
    check_writable(out.parent)
    if factory is not None and preset is not None:
        raise UserError("--preset is for SPAIR checkpoints and --factory for others; give one of the two")
    said = {
        "inputs": tuple(_parse_input(text) for text in inputs or ()),
        "outputs": tuple(outputs or ()),
        "multiple": multiple,
        "min_size": min_size,
        "picture": _parse_picture(picture),
        "sides": tuple(_parse_side(text) for text in side_inputs or ()),
        "output_range": output_range,
        "colour": colour,
        "sizes": _parse_sizes(sizes),
    }
    checkpoint = find_checkpoint(checkpoint)
    check_checkpoint(checkpoint, expected)
    with working("loading PyTorch") as progress:
        from ..export.choosing import export_any

        report = export_any(
            checkpoint, out, factory=factory, preset=preset, key=weights, task=task, force=force, progress=progress,
            said={name: value for name, value in said.items() if value not in (None, ())},
        )  # fmt: skip
        if served is not None:
            from ..export.served.file import write_served_graph

            progress("writing the file")
            report["served"] = write_served_graph(out, served, force=force)
    deliver(report, as_json, _show)


def _write_served(model: Path, served: Path, precision: str, force: bool, expected: Collection[str]) -> dict[str, Any]:
    """Write the served graph of a bundle."""
    with working("writing the file"):
        from ..export.served.file import write_served_graph

        bundle = _find_bundle(model)
        return write_served_graph(bundle, served, precision=precision, force=force, expect_digest=expected)


def _check_served(out: Path | None, served: Path | None, precision: str, force: bool) -> None:
    """Refuse places and a precision before long work.

    Raises:
        UserError: neither --out nor --served is given, the file cannot be written, or the precision does not fit.
    """
    from ..runtime.errors import UserError

    if served is None:
        if out is None:
            raise UserError("there is nothing to write; give --out NAME.spair for a bundle, or --served NAME.onnx")
        if precision != "fp32":
            raise UserError(f"--precision {precision} is for --served; a bundle gets its precisions by spair calibrate")
        return
    if out is not None and precision != "fp32":
        raise UserError(
            f"--precision {precision} is for a bundle that has it, and --out makes a new one in fp32; calibrate that "
            "first, then export it with --served alone"
        )
    from ..export.served.file import check_file

    check_page(served, "--served")
    check_file(served, force)


def _find_bundle(model: Path) -> Path:
    """Return the bundle that a served graph is made of.

    Raises:
        UserError: the model is a checkpoint.
    """
    from ..runtime.errors import UserError
    from .shared.models import is_checkpoint

    bundle = find_bundle(model)
    if is_checkpoint(bundle):
        raise UserError(f"{bundle} is no bundle, which --served needs; give --out NAME.spair too, and both are written")
    return bundle


def _parse_input(text: str) -> tuple[str, int]:
    from ..runtime.errors import UserError

    name, _, channels = text.rpartition(":")
    if not name or not channels.isdecimal():
        raise UserError(f"--input {text!r} is not of the form NAME:CHANNELS, for example image:3")
    return name, int(channels)


def _parse_picture(text: str | None) -> str | int | None:
    return int(text) if text is not None and text.lstrip("-").isdecimal() else text


def _parse_side(text: str) -> tuple[str, float]:
    """Read NAME=VALUE.

    The value may be a fraction such as 25/255.
    """
    from ..runtime.errors import UserError

    name, _, value = text.partition("=")
    above, slash, below = value.partition("/")
    try:
        number = float(above) / (float(below) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        number = math.nan
    if not name or not math.isfinite(number):
        raise UserError(f"--side-input {text!r} is not of the form NAME=VALUE, for example noise=25 or noise=25/255")
    return name, number


def _parse_sizes(text: str | None) -> tuple[tuple[int, int], ...]:
    from ..runtime.errors import UserError

    sizes = []
    for part in text.split(",") if text is not None else ():
        height, _, width = part.strip().partition("x")
        if not (height.isdecimal() and width.isdecimal()):
            raise UserError(f"--sizes {text!r} is not of the form HxW,..., for example 256x256,512x512")
        sizes.append((int(height), int(width)))
    if len(set(sizes)) != len(sizes):
        raise UserError(f"--sizes {text!r} names a size twice; name each once")
    return tuple(sizes)


def _show(report: dict[str, Any], console: Console) -> None:
    if "bundle" in report:
        _show_bundle(report, console)
    if "served" in report:
        facts = report["served"]
        line = (
            f"served     {facts['path']}: {facts['precision']}, opset {facts['opset']}, {facts['bytes'] / 1e6:.1f} MB"
        )
        console.print(line, soft_wrap=True)


def _show_bundle(report: dict[str, Any], console: Console) -> None:
    parity = report["parity"]
    operators = ", ".join(f"{count} {name}" for name, count in report["operators"].items()) or "none"
    console.print(f"bundle     {report['bundle']}", soft_wrap=True)
    console.print(f"network    {report['preset']}, task {report['task'] or 'not given'}, opset {report['opset']}")
    if "recognised" in report:
        console.print(f"recognised {_describe_recognised(report['recognised'])}", soft_wrap=True)
    if report["weights"]["prefix"] or report["weights"]["added"] or report["weights"]["ignored"]:
        console.print(f"weights    {_describe_weights(report['weights'])}", soft_wrap=True)
    console.print(f"operators  {operators}")
    console.print(
        f"parity     passed {parity['cases']} cases, largest difference from PyTorch {parity['max_abs']:.1e}",
    )
    for note in report.get("notes", ()):
        console.print(f"note       {note}", soft_wrap=True)


def _describe_recognised(found: dict[str, Any]) -> str:
    """Say which network the weights are of."""
    channels = f"{found['channels']} channel{'' if found['channels'] == 1 else 's'}"
    details = f" ({', '.join(found['details'])})" if found["details"] else ""
    by = "" if found["source"] == "spair" else f" of {found['source']}"
    return f"{found['name']}{by}: scale {found['scale']}, {channels}, {found['parameters']:,} parameters{details}"


def _describe_weights(place: dict[str, Any]) -> str:
    """Say where in the file the weights were found."""
    words = [f"found under {place['prefix'].rstrip('.')}" if place["prefix"] else "found under their own names"]
    if place["added"]:
        words.append(f"put under {place['added'].rstrip('.')}")
    if place["others"]:
        others = " ".join(prefix.rstrip(".") or "none" for prefix in place["others"])
        words.append(f"would fit as well (choose with --weights): {others}")
    if place["ignored"]:
        words.append(f"left out: {' '.join(place['ignored'][:8])}")
    return "; ".join(words)
