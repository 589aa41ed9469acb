"""Spend a quarter of an hour on a GPU.

    python -m benchmarks.gpu.day FOLDER [--plan]

Four parts run one after the other, each in a process of its own with a limit: the plugins' operators and the layers of
the shipped network on the machine's own driver (`tests/gpu/plugins`, 3 minutes), the times of these layers at 2, 10, 35
and 100 %, in the form that engines have and in that of the first version (4 minutes), the whole network in FP32, FP16
and INT8 at 1280x720 and 1920x1080 (4 minutes), and the layers in FP16 in the tilings among which `spair build --tune`
chooses (1 minute); the rest of the quarter is for compiling and for what goes wrong.
Each part writes what it has after every row. FOLDER gets what each part wrote, `day.json` with how each of them ended,
and the page `day.md`. Both are written after every part, so that an end at any time loses only the part at hand.
`--plan` prints the commands and runs nothing; without a GPU nothing runs either.

What was built elsewhere is named by $SPAIR_GPU_LIBRARY, $SPAIR_GPU_HARNESS and $SPAIR_GPU_BUNDLE, as for
`benchmarks.gpu.plugins`. No GPU has run this file as a whole; tests run it on made parts.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.common.measuring import print_progress, write_json
from benchmarks.gpu.harness.plugin_host import find_reason

LAST_WORDS = 1500
"""Characters of a part's output that the report keeps, from its end."""
Show = Callable[[dict[str, Any]], str]
"""Function from a row of a report to the text of a cell."""
SUMS: dict[str, Show] = {
    "form": lambda row: row["form"],
    "kind": lambda row: row["kind"],
    "mask": lambda row: row["mask"],
    "density": lambda row: f"{row['asked']:.0%}",
    "sparse": lambda row: f"{row['sparse_ms']:.3f} ms",
    "dense": lambda row: f"{row['dense_ms']:.3f} ms",
    "estimate of sparse": lambda row: f"{row['model_low_ms']:.3f} to {row['model_high_ms']:.3f} ms",
}
"""Columns of the sums over layers."""
NETWORK: dict[str, Show] = {
    "kind": lambda row: row["kind"],
    "size": lambda row: "x".join(map(str, row["size"])),
    "density": lambda row: f"{row['density']:.1%}",
    "sparse": lambda row: f"{row['sparse_ms']:.3f} ms",
    "dense": lambda row: f"{row['dense_ms']:.3f} ms",
}
"""Columns of the whole network."""
State = Literal["passed", "failed", "absent", "out of time"]


@dataclass(frozen=True)
class Part:
    """One command of the day."""

    name: str
    seconds: int
    """Limit; the part is ended then."""
    command: tuple[str, ...]
    """Words of the command; {json} stands for the file that it writes."""
    writes: bool = True
    """Whether it writes a JSON file; one that wrote none has measured nothing."""


@dataclass(frozen=True)
class Result:
    """End of a part."""

    name: str
    state: State
    seconds: float
    said: str
    """Last words of its output."""
    json: str | None
    """Name of the file that it wrote, in the folder."""


_PLUGINS = (sys.executable, "-m", "benchmarks.gpu.plugins", "--size", "1920x1080", "--json", "{json}")
_LAYERS = ("--parts", "layers", "--densities", "0.02,0.1,0.35,1.0", "--masks", "streak")
_TESTS = tuple(f"tests/gpu/plugins/test_{name}.py" for name in ("operators", "lists", "layers"))
PARTS = (
    Part(
        "operators",
        180,
        (sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", *_TESTS),
        writes=False,
    ),
    Part("layers", 240, (*_PLUGINS, *_LAYERS)),
    Part("network", 240, (*_PLUGINS, "--parts", "network", "--kinds", "fp16,fp32,int8")),
    Part("tilings", 60, (*_PLUGINS, *_LAYERS, "--kinds", "fp16", "--forms", "listed,other1,other2,other3")),
)
"""Parts in their order: no time is taken before the operators were compared with their definitions."""


def run_part(part: Part, folder: Path) -> Result:
    """Run a part within its limit.

    Args:
        part: the part.
        folder: existing folder for what it writes.
    """
    file = folder / f"{part.name}.json"
    file.unlink(missing_ok=True)
    start = time.monotonic()
    try:
        done = subprocess.run(
            fill_command(part, file),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=part.seconds,
            check=False,
        )
        code, said = done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        code, said = None, error.stdout or b""
    written = is_json(file)
    state: State = "out of time" if code is None else "failed" if code else "passed"
    if state == "passed" and part.writes and not written:
        state = "absent"
    text = said.decode(errors="replace").strip()
    if state == "passed" and not part.writes and " skipped" in text:
        state = "absent"  # some test did not run
    return Result(
        part.name, state, round(time.monotonic() - start, 1), text[-LAST_WORDS:], file.name if written else None
    )


def fill_command(part: Part, file: Path) -> list[str]:
    """Return the words of a part's command."""
    return [str(file) if word == "{json}" else word for word in part.command]


def is_json(file: Path) -> bool:
    """Tell whether a file holds a whole JSON object."""
    try:
        return isinstance(json.loads(file.read_text(encoding="utf-8")), dict)
    except (OSError, ValueError):
        return False


def run_day(folder: Path, parts: Sequence[Part]) -> list[Result]:
    """Run the parts, and write report and page after each.

    A part that fails leaves the later ones out: what is wrong is not timed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    for part in parts:
        print_progress(f"{part.name}, at most {part.seconds} s")
        results.append(run_part(part, folder))
        report = {"benchmark": "a quarter of an hour on a GPU", "parts": [asdict(result) for result in results]}
        write_json(folder / "day.json", report)
        (folder / "day.md").write_text(write_page(results, parts, folder), encoding="utf-8")
        if results[-1].state == "failed":
            break
    return results


def write_page(results: Sequence[Result], parts: Sequence[Part], folder: Path) -> str:
    """Write the page in Markdown, with ends and figures."""
    lines = ["# A quarter of an hour on a GPU", "", "| part | limit | ended | after |", "|---|---|---|---|"]
    ended = {result.name: result for result in results}
    for part in parts:
        result = ended.get(part.name)
        state, after = (result.state, f"{result.seconds} s") if result else ("not run", "")
        lines.append(f"| {part.name} | {part.seconds} s | {state} | {after} |")
    for result in results:
        lines += ["", f"## {result.name}", ""]
        if result.json:
            lines += _list_figures(json.loads((folder / result.json).read_text(encoding="utf-8")))
        lines += ["```text", result.said, "```"]
    return "\n".join(lines) + "\n"


def _list_figures(report: dict[str, Any]) -> list[str]:
    """List a report's device, sums over layers, and networks."""
    lines = [f"{report['device']}", ""] if "device" in report else []
    for rows, heads in ((report.get("sums"), SUMS), (report.get("network"), NETWORK)):
        shown = [row for row in rows or [] if "gate" not in row]
        if shown:
            lines += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
            lines += [f"| {' | '.join(show(row) for show in heads.values())} |" for row in shown]
            lines.append("")
    return lines


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--plan", action="store_true", help="print the commands and run nothing")
    return parser.parse_args(words)


def main() -> int:
    """Run the day and return the exit code.

    It is 0 where all parts passed, or where there is no GPU to run on.
    """
    arguments = parse_arguments()
    if arguments.plan:
        for part in PARTS:
            print(f"{part.seconds} s: {shlex.join(fill_command(part, arguments.folder / f'{part.name}.json'))}")
        return 0
    reason = find_reason()
    if reason is not None:
        print(f"nothing measured: {reason}", file=sys.stderr)
        return 0
    results = run_day(arguments.folder, PARTS)
    print((arguments.folder / "day.md").read_text(encoding="utf-8").split("\n## ")[0] + os.linesep)
    return 0 if [result.state for result in results] == ["passed"] * len(PARTS) else 1


if __name__ == "__main__":
    sys.exit(main())
