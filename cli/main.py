"""Command `spair` with its verbs."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from typing import Annotated, NamedTuple

import typer

from . import build, doctor, export, inspect, models, serve, train, trust
from .calibrate import command as calibrate
from .demo import command as demo
from .evaluate import command as evaluate
from .profile import command as profile
from .repository import command as repository
from .restore import command as restore
from .shared.help import PanelCommand, PanelGroup
from .shared.output import accept_all_text
from .shared.process.ending import leave_hanging, open_streams

USE, PREPARE, MEASURE, TRAIN = "Use", "Prepare", "Measure", "Train"
"""Panels of the help."""


class Verb(NamedTuple):
    """Verb of the command, named after its function."""

    panel: str
    run: Callable[..., None]
    examples: str


VERBS = (
    Verb(USE, restore.restore, restore.EXAMPLES),
    Verb(USE, serve.serve, serve.EXAMPLES),
    Verb(USE, models.models, models.EXAMPLES),
    Verb(USE, demo.demo, demo.EXAMPLES),
    Verb(PREPARE, export.export, export.EXAMPLES),
    Verb(PREPARE, calibrate.calibrate, calibrate.EXAMPLES),
    Verb(PREPARE, build.build, build.EXAMPLES),
    Verb(PREPARE, repository.repository, repository.EXAMPLES),
    Verb(PREPARE, trust.trust, trust.EXAMPLES),
    Verb(MEASURE, evaluate.evaluate, evaluate.EXAMPLES),
    Verb(MEASURE, profile.profile, profile.EXAMPLES),
    Verb(MEASURE, inspect.inspect, inspect.EXAMPLES),
    Verb(MEASURE, doctor.doctor, doctor.EXAMPLES),
    Verb(TRAIN, train.train, train.EXAMPLES),
)
"""Verbs in the order of the help."""

app = typer.Typer(
    name="spair",
    cls=PanelGroup,
    subcommand_metavar="VERB ...",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spair {importlib.metadata.version('spair-rt')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Mask-guided sparse image restoration.

    A trained checkpoint becomes a bundle of ONNX graphs, and a bundle restores pictures.
    """


for verb in VERBS:
    app.command(verb.run.__name__, cls=PanelCommand, epilog=verb.examples, rich_help_panel=verb.panel)(verb.run)


def main() -> None:
    """Run the verb of `sys.argv` and exit.

    The process ends with the exit code of the verb.
    """
    open_streams()
    accept_all_text()
    try:
        app(prog_name="spair", args=sys.argv[1:])
    except SystemExit as end:
        leave_hanging(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise


if __name__ == "__main__":
    main()
