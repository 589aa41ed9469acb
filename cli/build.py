"""Verb `spair build`, which builds a target's plugins and engines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .shared.models import read_expected
from .shared.names import read_model, refuse_name
from .shared.options import ExpectDigest, Json
from .shared.output import deliver, tell, working
from .shared.sizes import parse_size

EXAMPLES = """\b
Examples:
  spair build rain-tiny.spair --target local
  spair build rain-tiny.spair --target rtx
  spair build rain-tiny.spair --target jetson-orin-jp6 --json
  spair build rain-tiny.spair --target local --served --batch 8
  spair build rain-tiny.spair --target local --tune
  spair build rain-tiny.spair --target l4 --no-engines
"""


def build(
    bundle: Annotated[
        Path, typer.Argument(parser=read_model, metavar="MODEL", help="Bundle to build for, a folder NAME.spair.")
    ],
    target: Annotated[
        str, typer.Option(metavar="TARGET", help="Machine to build for: local is this one; or for example rtx or l4.")
    ],
    precision: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PRECISION", help="Precision to build engines for; repeat it. All but int8 when left out."
        ),
    ] = None,
    engines: Annotated[
        bool, typer.Option("--engines/--no-engines", help="Build engines too, where this machine can.")
    ] = True,
    library: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Plugin library that was built for the target before.")
    ] = None,
    served: Annotated[
        bool, typer.Option("--served", help="Build an engine for Triton Inference Server too, for each precision.")
    ] = False,
    tune: Annotated[
        bool,
        typer.Option("--tune", help="Time several kernels of each layer on the GPU first, and take the fastest."),
    ] = False,
    usual_size: Annotated[
        str, typer.Option(metavar="SIZE", help="Width x height that the engines are tuned for.")
    ] = "1280x720",
    max_size: Annotated[str, typer.Option(metavar="SIZE", help="Largest width x height of pictures.")] = "1920x1080",
    batch: Annotated[int, typer.Option(min=1, metavar="PICTURES", help="Largest number of pictures at a time.")] = 1,
    optimization_level: Annotated[
        int | None,
        typer.Option(metavar="LEVEL", help="Effort of TensorRT's builder, 0 to 5; its own default when left out."),
    ] = None,
    workspace: Annotated[
        int | None,
        typer.Option(min=1, metavar="MIB", help="Most memory for an engine's layers; a share of what is free if not."),
    ] = None,
    keep_outputs: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Tensors that TensorRT must not fuse over; repeat it. * is any text."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="MINUTES", help="Longest time for each engine, in minutes.")
    ] = 120.0,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="JOBS", help="Kernels compiled side by side; all cores when left out.")
    ] = None,
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Use what was compiled before.")] = True,
    expect_digest: ExpectDigest = None,
    as_json: Json = False,
) -> None:
    """Build TensorRT plugins and engines for a target.

    Kernels and the plugin library are compiled for the target's GPUs on this machine, which needs no GPU. Engines for
    TensorRT-RTX are built here too. TensorRT builds engines for the GPU of this machine (target local); for another
    one, the command that builds them there is printed.
    """
    refuse_name(bundle, "build")  # before packages that an installation of the runtime alone does not have
    from ..export.engines.options import EngineOptions
    from ..export.engines.target import build_target
    from ..runtime.errors import UserError

    if served and not engines:
        raise UserError("--served asks for an engine and --no-engines for none; leave one of the two out")
    options = EngineOptions(
        parse_size("--usual-size", usual_size),
        parse_size("--max-size", max_size),
        batch,
        level=optimization_level,
        workspace=workspace,
        keep_outputs=tuple(keep_outputs or ()),
    )
    with working("building") as progress:
        report = build_target(
            bundle,
            target,
            options if engines else None,
            precisions=precision or [],
            library=library,
            served=served,
            tuned=tune,
            jobs=jobs,
            cache=cache,
            timeout=60 * timeout,
            expect_digest=read_expected(expect_digest),
            progress=progress,
            announce=tell,
        )
    deliver(report, as_json, _show)


def _show(report: dict[str, Any], console: Console) -> None:
    operators = ", ".join(f"{count} {name}" for name, count in report["operators"].items())
    names = ", ".join(f"sm_{architecture}" for architecture in report["architectures"])
    lines = [
        f"library    {report['library']}",
        f"target     {report['target']}: {names}, PTX of sm_{report['fallback']} for later GPUs",
        f"operators  {operators}",
    ]
    for engine in report["engines"]:
        for one in (engine, *engine.get("parts", {}).values()):
            lines.append(
                f"engine     {one['path']}: {one['plugin_layers']} plugins in {one['layers']} layers, "
                f"{one['bytes'] / 1e6:.1f} MB"
            )
    for precision, layers in report["tuned"].items():
        others = sum(layer["tiling"] is not None for layer in layers.values())
        lines.append(f"tuned      {precision}: {len(layers)} layers timed, {others} take another tiling than the first")
    for precision, gate in report["gate"].items():
        worst = min(sample["found"]["psnr"] for sample in gate["samples"])
        lines.append(
            f"gate       {precision}: at least {worst:.1f} dB to ONNX Runtime on {len(gate['samples'])} pictures"
        )
    lines += [f"note       {note}" for note in report["notes"]]
    if report["install"]:
        lines.append(f"kit        copy the bundle to the board, then run there: sh {report['install']} WHEEL")
    for command in report["on_target"]:
        lines.append(f"on target  {command}")
    for line in lines:
        console.print(line, soft_wrap=True)
    if report["kernels"]:
        console.print()
        console.print(_kernel_table(report["kernels"]))


def _kernel_table(kernels: list[dict[str, Any]]) -> Table:
    """Show the most demanding form of each kernel.

    The report on all forms is in the bundle.
    """
    table = Table("kernel", box=None, pad_edge=False)
    for column in ("forms", "registers", "spills", "shared memory", "mma", "occupancy"):
        table.add_column(column, justify="right")
    by_name: dict[str, list[dict[str, Any]]] = {}
    for kernel in kernels:
        by_name.setdefault(kernel["name"].partition(".")[0], []).append(kernel)
    for name, forms in by_name.items():
        table.add_row(
            name,
            str(len(forms)),
            _range([form["registers"] for form in forms]),
            str(max(form["spills"] for form in forms)),
            _range([form["shared"] for form in forms]),
            _range([form["mma"] for form in forms]),
            _range([round(100 * form["occupancy"]) for form in forms]) + " %",
        )
    return table


def _range(values: list[int]) -> str:
    return str(min(values)) if min(values) == max(values) else f"{min(values)}–{max(values)}"
