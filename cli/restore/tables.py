"""Tables and notes of the verb `restore`."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from ..shared.output import note, number, tell


def describe_failure(file: str, error: str) -> str:
    """Say in a line why a file failed."""
    return f"error: {error if file in error else f'{file}: {error}'}"


def show_report(report: dict[str, Any], console: Console) -> None:
    """Print the report of a batch for people."""
    table = Table(box=None, pad_edge=False)
    table.add_column("picture", overflow="fold")
    for title in ("size", "distorted", "seconds", "skipped", "packed", "dense"):
        table.add_column(title, justify="right")
    for image in report["images"]:
        tiles = [str(image["tiles"][kind]) for kind in ("skipped", "packed", "dense")]
        size = f"{image['width']}x{image['height']}"
        table.add_row(image["output"], size, number(100 * image["density"], 1, " %"),
                      number(image["seconds"]), *tiles)  # fmt: skip
    if report["images"]:
        console.print(table)
    if report["videos"]:
        console.print(_list_videos(report["videos"]))
    if report["images"] or report["videos"]:
        where = f", {report['actors']} actors on {report['nodes']} nodes" if "nodes" in report else ""
        why = f": {report['backend_reason']}" if report["backend_reason"] else ""
        console.print(f"restored on {report['backend']}{where}{why}", soft_wrap=True)
    if report["skipped"]:
        console.print(f"{len(report['skipped'])} left alone: their results are there already")
    _show_notes(report)
    if sys.stderr.isatty():  # elsewhere each was printed as it came
        for failure in report["failed"]:
            tell(describe_failure(failure["input"], failure["error"]))
    if report["stopped"]:
        done, left = len(report["images"]) + len(report["videos"]), report["left"]
        first = f", from {left[0]} on" if left else ""
        tell(
            f"{report['stopped']}: {done} restored, {len(report['failed'])} failed, {len(left)} left{first}; "
            "go on with --skip-existing"
        )


def _list_videos(videos: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("video", overflow="fold")
    for title in ("size", "frames", "distorted", "seconds", "frames/s"):
        table.add_column(title, justify="right")
    for video in videos:
        made = video["frames"] - video["resumed"]
        table.add_row(
            video["output"], f"{video['width']}x{video['height']}", str(video["frames"]),
            number(100 * video["density"], 1, " %"), number(video["seconds"]), number(made / video["seconds"]),
        )  # fmt: skip
    return table


def _show_notes(report: dict[str, Any]) -> None:
    """Print what is unusual about results."""
    copied = sum(image["copied"] for image in report["images"])
    if copied:
        note(f"{copied} clean pictures are copies of their files")
    for made in (*report["images"], *report["videos"]):
        if made["note"]:
            note(f"{made['output']}: {made['note']}")
    for video in report["videos"]:
        _note_video(video)
    dropped = [made for made in (*report["images"], *report["videos"]) if made["dropped"]]
    kinds = list(dict.fromkeys(kind for image in dropped for kind in image["dropped"]))
    if dropped:
        note(f"{len(dropped)} results have no more {', '.join(kinds)} ({dropped[0]['output']})")


def _note_video(video: dict[str, Any]) -> None:
    """Print what was wrong with a video."""
    name = video["output"]
    if video["resumed"]:
        note(f"{name}: frames from an interrupted run: {video['resumed']}")
    if video["damaged"]:
        times = ", ".join(f"{time:.2f} s" for time in video["damaged_times"])
        more = " and more" if video["damaged"] > len(video["damaged_times"]) else ""
        note(f"{name}: damaged frames, passed on as decoded: {video['damaged']} (at {times}{more})")
    if video["lost"]:
        note(f"{name}: frames that could not be decoded, and are missing: {video['lost']}")
