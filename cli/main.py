"""The command `spair`: its verbs, and what happens to their errors."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import build, doctor, export, inspect, models, restore, train
from .calibrate import command as calibrate
from .demo import command as demo
from .evaluate import command as evaluate
from .profile import command as profile
from .shared.failures import explain

INTERRUPTED = 130


class Verbs(TyperGroup):
    """Runs a verb and turns the user's errors into one sentence; a bug keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Exit code 2 for bad input and missing packages, 1 for a missed gate, 130 for Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from error
        except Exception as error:
            failure = explain(error, ctx.invoked_subcommand or "")
            if failure is None:
                raise
            typer.echo(f"error: {failure.sentence}", err=True)
            raise typer.Exit(failure.code) from error


app = typer.Typer(
    name="spair",
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
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
    """Mask-guided sparse image restoration: a trained checkpoint to ONNX, and from there to restored pictures."""


for module in (demo, doctor, train, evaluate, export, calibrate, build, restore, models, inspect, profile):
    name = module.__name__.removesuffix(".command").rpartition(".")[2]
    app.command(name, epilog=module.EXAMPLES)(getattr(module, name))


def main() -> None:
    """The console script: runs the verb in `sys.argv` and leaves the process with its exit code."""
    app(prog_name="spair", args=sys.argv[1:])


if __name__ == "__main__":
    main()
