"""Verb `doctor`."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from .shared.options import Json
from .shared.output import deliver, working

EXAMPLES = """\b
Examples:
  spair doctor
  spair doctor --json
"""


def doctor(as_json: Json = False) -> None:
    """Say what works here, and how to mend the rest.

    Every backend is asked, then all that engines on a GPU need. Packages are imported in processes of their own.
    """
    from ..runtime.machine import checks
    from ..runtime.machine.probes import PROBES
    from ..runtime.machine.report import describe_machine
    from ..runtime.trust import describe_trusted

    with working("asking the backends") as progress:
        backends = {name: probe()._asdict() for name, probe in PROBES.items()}
        progress("asking what GPUs need")
        found = {name: probe._asdict() for name, probe in checks.check_gpu_software().items()}
        report = {"backends": backends, "machine": describe_machine(), "checks": found, "trusted": describe_trusted()}
    deliver(report, as_json, _show)


def _show(report: dict[str, Any], console: Console) -> None:
    from ..runtime.machine.report import machine_line

    console.print(_make_table("backend", report["backends"]))
    console.print()
    # A machine that is no Jetson has nothing to say about one.
    rows = {k: v for k, v in report["checks"].items() if k != "jetson" or v["version"]}
    console.print(_make_table("for GPUs", rows))
    console.print()
    trusted = report["trusted"]
    files = (
        f"{trusted['files']} trusted file{'' if trusted['files'] == 1 else 's'} with code, listed in {trusted['list']}"
    )
    console.print(trusted["reason"] or files, markup=False, highlight=False, soft_wrap=True)
    console.print(machine_line(report["machine"]), markup=False, highlight=False)


def _make_table(title: str, probes: dict[str, dict[str, Any]]) -> Table:
    table = Table(title, "works", "version", "remark", box=None, pad_edge=False)
    for name, probe in probes.items():
        remark = (probe["reason"] or "").replace("[", r"\[")
        table.add_row(name, "yes" if probe["ok"] else "no", probe["version"] or "–", remark)
    return table
