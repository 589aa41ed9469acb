"""`spair build`: the plugin library of a target and its engines, into the bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .shared.names import refuse_name
from .shared.options import Json
from .shared.output import deliver, working

if TYPE_CHECKING:
    from ..export.engines.target import TargetFiles
    from ..plugins.compiler.build import Build

EXAMPLES = """\b
Examples:
  spair build rain-tiny.spair --target rtx
  spair build rain-tiny.spair --target jetson-orin-jp6 --json
  spair build rain-tiny.spair --target l4 --no-engines
"""


def build(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle: a folder NAME.spair.")],
    target: Annotated[str, typer.Option(help="What to build for, e.g. rtx or jetson-orin-jp6.")],
    precision: Annotated[
        list[str] | None, typer.Option(help="A precision to build an engine for; repeat it. All when left out.")
    ] = None,
    engines: Annotated[
        bool, typer.Option("--engines/--no-engines", help="Build engines too, where that works.")
    ] = True,
    library: Annotated[
        Path | None, typer.Option(help="Take this libspair_plugins.so, built before for the target.")
    ] = None,
    usual_size: Annotated[
        str, typer.Option(metavar="WxH", help="Size of picture that the engines are tuned for.")
    ] = "1280x720",
    max_size: Annotated[str, typer.Option(metavar="WxH", help="Largest size of picture.")] = "1920x1080",
    batch: Annotated[int, typer.Option(min=1, help="Most pictures at a time.")] = 1,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Kernels compiled side by side; all cores when left out.")
    ] = None,
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Use what was compiled before.")] = True,
    as_json: Json = False,
) -> None:
    """Build the TensorRT plugins and engines of a target into a bundle.

    Kernels are compiled for the target's GPUs and the library around them, without a GPU; engines are built here for
    TensorRT-RTX, else the command that builds them on the target is shown.
    """
    from ..export.engines.builder import EngineOptions, builder_of
    from ..export.engines.target import check_operators, check_place, collect_target, write_target
    from ..plugins.compiler.build import build_plugins, take_library
    from ..plugins.compiler.cache import Cache
    from ..plugins.compiler.kernels.compilation import Settings
    from ..plugins.compiler.targets import find_target
    from ..runtime import Bundle
    from ..runtime.cache import cache_folder

    refuse_name(bundle, "build")
    found = find_target(target)
    options = EngineOptions(_parse_size(usual_size), _parse_size(max_size), batch)
    opened = Bundle.open(bundle)
    precisions = check_operators(opened, precision or [])
    check_place(opened)
    if engines and found.rtx:
        builder_of(found)  # before minutes of compiling
    kept = Cache(cache_folder() / "builds" if cache else None)
    with working(f"building for {found.name}") as progress:
        settings = Settings(jobs or os.cpu_count() or 1, kept)
        made = take_library(library, found) if library else build_plugins(found, settings, progress=progress)
        files = collect_target(opened, found, made, precisions, options if engines else None, kept, progress=progress)
        progress("writing the bundle")
        write_target(opened, found, files)
    deliver(_report(opened.path, made, files, dict(opened.manifest.operators)), as_json, _show)


def _parse_size(text: str) -> tuple[int, int]:
    from ..runtime.errors import UserError

    width, _, height = text.lower().partition("x")
    if not width.isdecimal() or not height.isdecimal():
        raise UserError(f"the size {text!r} is not of the form WxH, e.g. 1920x1080")
    return int(width), int(height)


def _report(bundle: Path, made: Build, files: TargetFiles, operators: dict[str, int]) -> dict[str, Any]:
    return {
        "target": made.label.target,
        "library": str(bundle / files.entry["library"]),
        "architectures": list(made.label.architectures),
        "fallback": made.label.fallback,
        "operators": operators,
        "engines": [{**engine, "path": str(bundle / engine["path"])} for engine in files.engines],
        "on_target": list(files.commands),
        "notes": list(files.notes),
        "kernels": list(made.report["kernels"]) if made.report else [],
    }


def _show(report: dict[str, Any], console: Console) -> None:
    operators = ", ".join(f"{count} {name}" for name, count in report["operators"].items())
    names = ", ".join(f"sm_{architecture}" for architecture in report["architectures"])
    lines = [
        f"library    {report['library']}",
        f"target     {report['target']}: {names}, PTX of sm_{report['fallback']} for later GPUs",
        f"operators  {operators}",
    ]
    for engine in report["engines"]:
        lines.append(
            f"engine     {engine['path']}: {engine['plugin_layers']} plugins in {engine['layers']} layers, "
            f"{engine['bytes'] / 1e6:.1f} MB"
        )
    lines += [f"note       {note}" for note in report["notes"]]
    for command in report["on_target"]:
        lines.append(f"on target  {command}")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True, highlight=False)
    if report["kernels"]:
        console.print()
        console.print(_kernel_table(report["kernels"]))


def _kernel_table(kernels: list[dict[str, Any]]) -> Table:
    """The most demanding of each kernel's forms; the whole report is in the bundle."""
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
