"""Verb `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .shared.failures import FAILED
from .shared.options import Json
from .shared.output import deliver, working

EXAMPLES = """\b
Examples:
  spair doctor
  spair doctor --json
  spair doctor --clean results
"""

Clean = Annotated[
    bool,
    typer.Option("--clean", help="Only remove what killed processes left, and list it."),
]
Folders = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FOLDER...]", help="Further folders to clean, with all below them.", show_default=False),
]


def doctor(folders: Folders = None, clean: Clean = False, as_json: Json = False) -> None:
    """Say what works here, and how to mend the rest.

    Every backend is asked, then all that engines on a GPU need. Packages are imported in processes of their own.

    With --clean, half-written files of killed processes are removed from the folder for temporary files, the present
    folder, the cache and each FOLDER. What a living process works on is kept.
    """
    if clean or folders:
        _clean(folders or [], clean, as_json)
        return
    from ..runtime.bundle.cleaning import list_abandoned
    from ..runtime.cpu import probe as kernels
    from ..runtime.machine import checks
    from ..runtime.machine.probes import PROBES, Probe
    from ..runtime.machine.report import describe_board, describe_machine
    from ..runtime.trust import describe_trusted

    with working("asking the backends") as progress:
        backends = {name: probe()._asdict() for name, probe in PROBES.items()}
        progress("looking for the kernels of the backend cpu, which are compiled once")
        backends["cpu"] = kernels.probe_kernels()._asdict()
        auto = kernels.choose_here(Probe(**backends["onnxruntime"]))._asdict()
        progress("asking what GPUs need")
        found = {name: probe._asdict() for name, probe in checks.check_gpu_software().items()}
        report: dict[str, Any] = {
            "backends": backends,
            "auto": auto,
            "machine": describe_machine(),
            "checks": found,
            "board": describe_board(),
            "trusted": describe_trusted(),
        }
    report["leftovers"] = list_abandoned()
    deliver(report, as_json, _show)


def _clean(folders: list[Path], wanted: bool, as_json: bool) -> None:
    from ..runtime.bundle.cleaning import clean
    from ..runtime.errors import UserError

    if not wanted:
        raise UserError(f"a folder ({folders[0]}) is for cleaning; add --clean, or leave it out")
    report = clean(folders)
    deliver(report.to_json(), as_json, _show_cleaning)
    if report.failed:
        raise typer.Exit(FAILED)


def _show_cleaning(report: dict[str, Any], console: Console) -> None:
    lines = [f"removed {path}" for path in report["removed"]] + [f"put back {path}" for path in report["put_back"]]
    lines += [f"{what} {one['path']}: {one['reason']}" for what in ("kept", "failed") for one in report[what]]
    lines.append(f"{len(report['removed'])} removed, looked into {', '.join(report['folders'])}")
    for line in lines:
        console.print(line, soft_wrap=True)


def _show(report: dict[str, Any], console: Console) -> None:
    from ..runtime.machine.report import board_lines, machine_line

    console.print(_make_table("backend", report["backends"]))
    auto = report["auto"]
    choice = "nothing works without a GPU" if auto["backend"] == "none" else f"auto takes {auto['backend']}"
    console.print(f"{choice}: {auto['reason']}", soft_wrap=True)
    console.print()
    # A machine that is no Jetson has nothing to say about one.
    rows = {k: v for k, v in report["checks"].items() if k != "jetson" or v["version"]}
    console.print(_make_table("for GPUs", rows))
    console.print()
    if report["board"]:
        _show_board(board_lines(report["board"]), report["board"]["findings"], console)
    trusted = report["trusted"]
    files = (
        f"{trusted['files']} trusted file{'' if trusted['files'] == 1 else 's'} with code, listed in {trusted['list']}"
    )
    console.print(trusted["reason"] or files, soft_wrap=True)
    if report["leftovers"]:
        count = len(report["leftovers"])
        line = f"{count} leftover{'' if count == 1 else 's'} of killed processes; remove with: spair doctor --clean"
        console.print(line, soft_wrap=True)
    console.print(machine_line(report["machine"]))


def _show_board(lines: list[str], findings: list[dict[str, Any]], console: Console) -> None:
    """Print a Jetson board, and each finding with its command."""
    for finding in findings:
        lines.append(f"{'fault' if finding['fault'] else 'advice'}, {finding['name']}: {finding['sentence']}")
        if finding["command"]:
            lines.append(f"    {finding['command']}")
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)
    console.print()


def _make_table(title: str, probes: dict[str, dict[str, Any]]) -> Table:
    table = Table(title, "works", "version", "remark", box=None, pad_edge=False)
    for name, probe in probes.items():
        remark = probe["reason"] or ""
        table.add_row(name, "yes" if probe["ok"] else "no", probe["version"] or "–", remark)
    return table
