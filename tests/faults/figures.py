"""Table of the figures of the last long run, between two marks in docs/reliability.md.

`python -m tests.faults.figures FILE` writes it; `make faults` does so.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
FILE = Path(__file__).with_name("figures.json")
BEGIN, END = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"


def make_table(figures: dict[str, Any]) -> str:
    """Make the table of a run."""
    rows = [f"| {kind} | {count:,} |" for kind, count in sorted(figures["faults"].items())]
    total = sum(figures["faults"].values())
    return "\n".join(
        ["| fault | number |", "|---|---|", *rows, f"| all | {total:,} |", f"| failures | {figures['failures']} |", ""]
    )


def write_table(text: str, table: str) -> str:
    """Put a table in the place of the old one."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table + END + rest.partition(END)[2]


if __name__ == "__main__":
    found = json.loads(Path(sys.argv[1]).read_text())
    PAGE.write_text(write_table(PAGE.read_text(encoding="utf-8"), make_table(found)), encoding="utf-8")
