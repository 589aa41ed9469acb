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
    """Say which backends work here, and why not."""
    from ..runtime.machine.probes import PROBES
    from ..runtime.machine.report import describe_machine

    with working("asking the backends"):
        backends = {name: probe()._asdict() for name, probe in PROBES.items()}
        report = {"backends": backends, "machine": describe_machine()}
    deliver(report, as_json, _show)


def _show(report: dict[str, Any], console: Console) -> None:
    from ..runtime.machine.report import machine_line

    table = Table("backend", "works", "version", "remark", box=None, pad_edge=False)
    for name, probe in report["backends"].items():
        remark = (probe["reason"] or "").replace("[", r"\[")
        table.add_row(name, "yes" if probe["ok"] else "no", probe["version"] or "–", remark)
    console.print(table)
    console.print(machine_line(report["machine"]), markup=False, highlight=False)
