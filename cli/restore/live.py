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
from ..shared.output import deliver, number, tell
from ..shared.places import check_writable, make_folder
from ..shared.process.ending import BROKEN_PIPE, silence

if TYPE_CHECKING:
    from ...runtime.live.restoring import LiveOptions
    from ...runtime.live.sinks import Sink
    from ...runtime.live.sources.addresses import SourceName

_STDOUT = 1
"""File descriptor."""


def find_source(inputs: Sequence[str], out: str, limits: Mapping[str, Any]) -> SourceName | None:
    """Find a camera or stream among the inputs.

    Args:
        inputs: words of the command line; a file of that name is no source.
        out: where results go.
        limits: options that are for sources alone, with what was given.

    Returns:
        The source; None where the inputs are files.

    Raises:
        UserError: it is not alone, or files are given with what is for sources.
    """
    from ...runtime.errors import UserError
    from ...runtime.live.sources.addresses import hide_secrets, is_sink, parse_source

    found = [source for source in (parse_source(text) for text in inputs if not os.path.lexists(text)) if source]
    if len(found) == len(inputs) == 1:
        return found[0]
    if found:
        raise UserError(f"{found[0].shown} is restored alone, and there are {len(inputs)} inputs; give it by itself")
    refuse(limits, "for cameras and streams", "leave it out")
    if is_sink(out):
        raise UserError(f"--out {hide_secrets(out)} is for a camera or stream, and the input is none; give a folder")
    return None


def refuse(options: Mapping[str, Any], what: str, how: str) -> None:
    """Refuse options that do not fit the inputs.

    Args:
        options: their names, with what was given; None and False for nothing.
        what: words on what they are for.
        how: words on what to do.

    Raises:
        UserError: one was given.
    """
    from ...runtime.errors import UserError

    for name, value in options.items():
        if value is not None and value is not False and value != "":
            raise UserError(f"{name} is {what}; {how}")


def restore_source(
    model: Path,
    execution: Execution,
    source: SourceName,
    out: str,
    options: LiveOptions,
    max_pixels: int | None,
    as_json: bool,
) -> None:
    """Restore a camera or stream until it ends, and print the report.

    Raises:
        UserError: the model, the source or the sink cannot be used.
        typer.Exit: the source was lost, or nobody reads the result any more.
    """
    from ...runtime.images import MAX_PIXELS
    from ...runtime.live.restoring import CLOSED, LOST, LiveRestoration
    from ...runtime.live.sources.capture import make_opener
    from ...runtime.video.options import load_av

    load_av()
    opener = make_opener(source, max_pixels or MAX_PIXELS, time.monotonic)
    sink = _make_sink(out)
    with open_model(model, execution) as restorer:
        run = LiveRestoration(restorer, source.shown, opener, sink, options, announce=tell)
        facts = {"backend": restorer.backend, "backend_reason": restorer.remark}
        reporting, watching_it = _reporting(run, facts, sink.shown, as_json), watching(f"restoring {source.shown}")
        with reporting, watching_it as watch:
            run.run(lambda: watch(lambda: describe(run.report())))
    if run.stopped == LOST:
        tell(f"error: {run.error}")
        raise typer.Exit(FAILED)
    if run.stopped == CLOSED:
        silence()
        raise typer.Exit(BROKEN_PIPE)


@contextlib.contextmanager
def _reporting(run: Any, facts: dict[str, Any], sink: str, as_json: bool) -> Iterator[None]:
    """Print the report at the end, also where a signal is it."""
    from ...runtime.live.sources.addresses import STDOUT

    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        deliver({**run.report(), **facts}, as_json, show_live, to_stderr=sink == STDOUT)
        raise
    deliver({**run.report(), **facts}, as_json, show_live, to_stderr=sink == STDOUT)


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
    console.print(f"stopped after {number(report['seconds'], 1)} s: {report['stopped']}")
