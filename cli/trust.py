"""Verb `trust`, which lets the code of a bundle run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .shared.models import read_expected
from .shared.names import read_model
from .shared.options import ExpectDigest, Json
from .shared.output import Terminal, deliver, make_table

EXAMPLES = """\b
Examples:
  spair trust rain-tiny.spair
  spair trust rain-tiny.spair --target rtx --yes --json
  spair trust rain-tiny.spair --remove
"""


def trust(
    bundle: Annotated[
        Path,
        typer.Argument(parser=read_model, metavar="BUNDLE", help="Bundle with plugins or engines, NAME.spair."),
    ],
    target: Annotated[
        str | None, typer.Option(metavar="TARGET", help="Trust what was built for this target; all when left out.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="No longer trust this bundle's code.")] = False,
    expect_digest: ExpectDigest = None,
    as_json: Json = False,
) -> None:
    """Let the plugins and engines of a bundle run here.

    They are code and run with your rights. What was built on this machine is trusted already; what came from elsewhere
    runs only after you said so. Files are trusted by their content: a changed file has to be trusted again.
    """
    from ..runtime.trust import trust_bundle

    asked = not (yes or remove)
    report = trust_bundle(
        bundle,
        target=target,
        remove=remove,
        expect_digest=read_expected(expect_digest),
        confirm=_ask if asked else lambda shown: None,
    )
    deliver({**report, "removed": remove}, as_json, _show)


def _ask(report: dict[str, Any]) -> None:
    """Show what would be trusted, and ask on the terminal.

    Raises:
        UserError: there is no terminal, or the answer was no.
    """
    from ..runtime.errors import UserError

    if not _is_terminal():
        raise UserError(f"nothing was trusted: there is no terminal to ask you about {report['bundle']}; add --yes")
    _show_files(report, Terminal(stderr=True))
    count = sum(not entry["trusted"] for entry in report["files"])
    files = f"{count} files run" if count > 1 else "this file run"
    if not typer.confirm(f"Let {files} as code, with your rights?", err=True):
        raise UserError("nothing was trusted: the answer was no; give yes if you know where the bundle comes from")


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _show(report: dict[str, Any], console: Console) -> None:
    _show_files(report, console)
    what = "no longer trusted" if report["removed"] else "trusted now"
    line = f"{report['changed']} {what}" if report["changed"] else "nothing changed"
    console.print(f"{line}; the list is {report['list']}", soft_wrap=True)


def _show_files(report: dict[str, Any], console: Console) -> None:
    table = make_table(("target", "file", "SHA-256", "trusted"), ("bytes",))
    for entry in report["files"]:
        names = (entry[key] for key in ("target", "file"))
        table.add_row(*names, f"{entry['sha256'][:12]}…", "yes" if entry["trusted"] else "no", f"{entry['bytes']:,}")
    console.print(table)
