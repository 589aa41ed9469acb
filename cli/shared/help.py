"""Help pages in panels, as plain text.

Plain text is as readable in a pipe, in a file and with NO_COLOR as it is on a terminal, and example commands are never
broken by a frame. Click's own page has one list of options, cuts long summaries by "..." and names types such as
`<int range>`; these two classes replace those parts.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from ...temporary.leftovers import sweep_scratch
from .failures import BAD_INPUT, explain
from .options import OUTPUT
from .output import tell
from .process.ending import BROKEN_PIPE, is_reader_gone, silence
from .process.termination import Terminated, ending_cleanly

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

OTHERS = "Options"
"""Panel of the options that name no other; the last one of a page, after `OUTPUT`."""

PLACES = ("FOLDER", "FILE", "DIR", "MODEL", "PICTURES", "NAME=FOLDER")
"""Metavars of options that name files and folders."""

Item = TypeVar("Item")


class PanelCommand(TyperCommand):
    """Command whose help groups its options in panels."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse empty names of files and folders.

        They would stand for the current folder.
        """
        _refuse_empty(args, self.get_params(ctx))
        return list(super().parse_args(ctx, args))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Name the arguments by their metavars."""
        return ["[OPTIONS]", *(_argument_name(param) for param in self.get_params(ctx) if _is_argument(param))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then each panel of options."""
        _write_parameters(self.get_params(ctx), ctx, formatter)


class PanelGroup(TyperGroup):
    """Group of verbs that turns errors into one sentence."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Print the help where no verb is given."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(BAD_INPUT)
        return list(super().parse_args(ctx, args))

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the options before the verb."""
        try:
            return super().make_context(*arguments, **options)
        except KeyboardInterrupt as error:
            raise _interrupt() from error
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            _report(error, "")
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the verb.

        Exit codes are 2 for bad input and missing packages, 1 for a missed gate, 130 after Ctrl-C, and 143 after
        SIGTERM. Before that, what killed processes left in the folder for temporary files is removed.
        """
        try:
            with ending_cleanly():
                sweep_scratch()
                return super().invoke(ctx)
        except Terminated as error:
            tell(f"ended by {signal.Signals(error.signal).name}")
            raise
        except KeyboardInterrupt as error:
            raise _interrupt() from error
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            _report(error, ctx.invoked_subcommand or "")
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the verbs by panel, then the options."""
        verbs = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        shown = [(name, verb) for name, verb in verbs if verb is not None and not verb.hidden]
        width = max(len(name) for name, _ in shown)
        for panel, rows in _group((_panel_of(verb), (name, _summary(verb))) for name, verb in shown).items():
            with formatter.section(panel):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in rows])
        _write_parameters(self.get_params(ctx), ctx, formatter)


def _interrupt() -> typer.Exit:
    tell("interrupted")
    return typer.Exit(INTERRUPTED)


def _report(error: Exception, verb: str) -> None:
    """Print the sentence of an error and exit.

    A bug prints nothing, and the function returns. A reader of stdout that is gone is no error: nothing is printed.
    """
    if isinstance(error, BrokenPipeError) and is_reader_gone():
        silence()
        raise typer.Exit(BROKEN_PIPE) from error
    failure = explain(error, verb)
    if failure is None:
        return
    tell(f"error: {failure.sentence}")
    if failure.pointer is not None:
        tell(failure.pointer)
    raise typer.Exit(failure.code) from error


def _refuse_empty(args: list[str], params: Iterable[Any]) -> None:
    """Refuse empty texts where a file or folder is expected.

    A script gives them where it uses a variable that is not set.
    """
    from ...runtime.errors import UserError

    options = {name: param for param in params if not _is_argument(param) for name in param.opts}
    for before, word in zip(["", *args], args, strict=False):
        name, joined, value = word.partition("=")
        if not (joined and name in options):
            name, value = before, word
        if value.strip():
            continue
        option = options.get(name)
        if option is None or getattr(option, "is_flag", False):
            name = "an argument"
        elif option.metavar not in PLACES:
            continue
        raise UserError(
            f"{name} is empty, as from a variable that is not set; give a name, or . for the current folder"
        )


def _write_parameters(params: Iterable[Any], ctx: Any, formatter: Any) -> None:
    shown = [param for param in params if not getattr(param, "hidden", False)]
    arguments = [(_argument_name(param), param.help or "") for param in shown if _is_argument(param)]
    panels = _group((_panel_of(param), _option_record(param, ctx)) for param in shown if not _is_argument(param))
    if arguments:
        with formatter.section("Arguments"):
            formatter.write_dl(arguments)
    for panel in sorted(panels, key=lambda name: (name in (OUTPUT, OTHERS), name == OTHERS)):
        with formatter.section(panel):
            formatter.write_dl(panels[panel])


def _is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")


def _panel_of(item: Any) -> str:
    return getattr(item, "rich_help_panel", None) or OTHERS


def _argument_name(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _option_record(param: Any, ctx: Any) -> tuple[str, str]:
    """Return the two columns of an option.

    They are its names with its metavar, and its help with default and limits in words.
    """
    names, words = param.get_help_record(ctx)
    return re.sub(r"<([^<>]*)>", r"\1", names), re.sub(r"(?<=[\[ ])x>=(?=-?\d)", "at least ", words)


def _summary(verb: Any) -> str:
    """Return the first paragraph of a verb's help, whole."""
    return " ".join((verb.short_help or verb.help or "").strip().partition("\n\n")[0].split())


def _group(items: Iterable[tuple[str, Item]]) -> dict[str, list[Item]]:
    """Group items by panel, panels in order of appearance."""
    found: dict[str, list[Item]] = {}
    for panel, item in items:
        found.setdefault(panel, []).append(item)
    return found
