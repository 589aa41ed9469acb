"""Cameras and streams of the verb `restore`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from ..shared.failures import FAILED
from ..shared.frames import watching
from ..shared.models import Execution, open_model
from ..shared.output import deliver, note, number, tell
from ..shared.places import check_writable, make_folder
from ..shared.process.ending import BROKEN_PIPE, silence

if TYPE_CHECKING:
    from ...runtime.live.restoring import LiveOptions, LiveRestoration
    from ...runtime.live.sinks import Sink
    from ...runtime.live.sources.addresses import SourceName
    from ...runtime.live.window.sink import WindowSink

_FOR_SOURCES = ("retries", "frames", "seconds", "show")
_FOR_FILES = (
    "recursive", "save_mask", "skip_existing", "format", "quality", "suffix", "float_range", "accept_damaged",
    "ray", "actors",
)  # fmt: skip
"""Names of options."""
_STDOUT = 1
"""File descriptor."""


def find_source(inputs: Sequence[str]) -> SourceName | None:
    """Find a camera or stream among the inputs.

    Args:
        inputs: words of the command line; a file of that name is no source.

    Returns:
        The source; None where the inputs are files.

    Raises:
        UserError: it is not alone.
    """
    from ...runtime.errors import UserError
    from ...runtime.live.sources.addresses import parse_source

    found = [source for source in (parse_source(text) for text in inputs if not os.path.lexists(text)) if source]
    if found and len(inputs) > 1:
        raise UserError(f"{found[0].shown} is restored alone, and there are {len(inputs)} inputs; give it by itself")
    return found[0] if found else None


def check_options(context: typer.Context, source: SourceName | None, out: str | None) -> None:
    """Refuse options that do not fit the input.

    Args:
        context: what was given on the command line.
        source: the camera or stream; None for files.
        out: where results go; None where they are only shown.

    Raises:
        UserError: one does not fit.
        click.UsageError: results go nowhere.
    """
    from ...runtime.errors import UserError
    from ...runtime.live.sources.addresses import hide_secrets, is_sink

    wrong, kind = (_FOR_SOURCES, "cameras and streams") if source is None else (_FOR_FILES, "files")
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "")
        if option.name in wrong and given is not None and given.name == "COMMANDLINE":
            raise UserError(f"{option.opts[0]} is for {kind}; leave it out")
    if out is None and not context.params["show"]:
        context.fail("Missing option '--out'." if source is None else "Missing option '--out' or '--show'.")
    if source is None and out is not None and is_sink(out):
        raise UserError(f"--out {hide_secrets(out)} is for a camera or stream, and the input is none; give a folder")


def restore_source(
    model: Path,
    execution: Execution,
    source: SourceName,
    out: str | None,
    show: bool,
    options: LiveOptions,
    max_pixels: int | None,
    as_json: bool,
) -> None:
    """Restore a camera or stream, and print the report.

    Raises:
        UserError: the model, the source or the sink cannot be used, or there is no screen.
        typer.Exit: the source was lost, or nobody reads the result any more.
    """
    from ...runtime.images import MAX_PIXELS
    from ...runtime.live.restoring import CLOSED, LOST, LiveRestoration
    from ...runtime.live.sources.capture import make_opener
    from ...runtime.video.options import load_av

    load_av()
    opener = make_opener(source, max_pixels or MAX_PIXELS, time.monotonic)
    sink = None if out is None else _make_sink(out)
    with _opening_window(source.shown, show) as window, open_model(model, execution) as restorer:
        place = sink or window
        assert place is not None
        also = None if sink is None else window
        run = LiveRestoration(restorer, source.shown, opener, place, options, window=also, announce=tell)
        if window is not None:
            window.call_when_closed(run.stop)
        facts = {"backend": restorer.backend, "backend_reason": restorer.remark}
        with _reporting(run, facts, as_json), watching(f"restoring {source.shown}") as watch:
            run.run(lambda: watch(lambda: describe(run.report())))
    if run.stopped == LOST:
        tell(f"error: {run.error}")
        raise typer.Exit(FAILED)
    if run.stopped == CLOSED and not show:
        silence()
        raise typer.Exit(BROKEN_PIPE)


@contextlib.contextmanager
def _opening_window(source: str, show: bool) -> Iterator[WindowSink | None]:
    """Open a window if one is asked for."""
    from ...runtime.live.window.sink import WindowSink

    if not show:
        yield None
        return
    with WindowSink(f"{source} restored") as window:
        yield window


@contextlib.contextmanager
def _reporting(run: LiveRestoration, facts: dict[str, Any], as_json: bool) -> Iterator[None]:
    """Print the report at the end, also after a signal."""
    from ...runtime.live.sources.addresses import STDOUT

    def report() -> None:
        found = {**run.report(), **facts}
        deliver(found, as_json, show_live, to_stderr=found["output"] == STDOUT)

    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        report()
        raise
    report()


def _make_sink(out: str) -> Sink:
    """Check where frames go before the model is opened.

    Raises:
        UserError: they cannot go there.
    """
    from ...runtime.errors import UserError
    from ...runtime.live.sinks import RawSink, VideoSink
    from ...runtime.live.sources.addresses import STDOUT, find_scheme
    from ...runtime.video.options import CONTAINERS

    if out == STDOUT:
        return RawSink(_STDOUT)
    sink = VideoSink(out)
    if find_scheme(out) is None:
        if sink.suffix not in CONTAINERS:
            raise UserError(
                f"--out {out} is no place for the frames of a camera or stream; give a file ({', '.join(CONTAINERS)}), "
                "an address such as rtsp://HOST/PATH, or -"
            )
        check_writable(Path(out).parent)
        make_folder(Path(out).parent)
    return sink


def describe(report: Mapping[str, Any]) -> str:
    """Say in a line how a run is going."""
    p50, p99 = (number(report["latency_ms"][name], 0, " ms") for name in ("p50", "p99"))
    lost = f", lost {report['reconnects']} times" if report["reconnects"] else ""
    return (
        f"{report['restored']} frames, {number(report['fps'], 1)} frames/s, {report['dropped']} dropped, "
        f"latency {p50} (p99 {p99}){lost}"
    )


def show_live(report: dict[str, Any], console: Console) -> None:
    """Print the report of a camera or stream for people."""
    size = "" if report["width"] is None else f", {report['width']}x{report['height']}"
    console.print(f"{report['input']} -> {report['output']}{size}", soft_wrap=True)
    console.print(describe(report), soft_wrap=True)
    if report["damaged"]:
        console.print(f"{report['damaged']} frames could not be decoded")
    why = f": {report['backend_reason']}" if report["backend_reason"] else ""
    console.print(f"restored on {report['backend']}{why}", soft_wrap=True)
    if report["reused"]:
        console.print(
            f"{number(100 * report['reused'], 1, ' %')} of the distorted pixels were taken from earlier frames"
        )
    if report["note"]:
        note(report["note"])
    console.print(f"stopped after {number(report['seconds'], 1)} s: {report['stopped']}")
