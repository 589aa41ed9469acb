"""Measure what a video saves by taking still pixels.

Run from the repository root: `python -m benchmarks.cpu.scenes [MODEL] [--photo FILE] [--clips FILE...]`. It lays moving
rain over a photograph: seen by a camera that stands still, by one that pans, and with a part of the picture moving; and
over the frames of `--clips`, real videos without rain. Each clip is restored frame by frame and with `--reuse safe` and
`fast`, in turns. Times are of the restorer alone, PSNR is that of luma against the frames without rain.

It exits 1 when `fast` on the light rain of a camera at rest is less than `AT_REST` times as fast, or on a pan less than
`PANNING` times; when it loses more than `LOSS` dB at rest or on a pan, or `safe` on any clip. It takes five minutes on
two cores.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.arguments import parse_count, parse_names
from benchmarks.common.measuring import Goal, describe_run, print_progress, show_goals, show_run, show_table, write_json
from spair.calibration.accuracy.measures import measure_psnr
from spair.runtime import Restorer, read_image
from spair.runtime.scenes.still import STILLNESS, StillScene
from spair.runtime.video.options import REUSES, load_av
from spair.training.data.photos import read_photo
from spair.training.simulators.rain import Rain, add_rain

AT_REST = 2.0
"""Times as fast as frame by frame."""
PANNING = 0.97
LOSS = 0.1
"""Loss of PSNR in dB."""
BORDER = 64
"""Pixels of the photograph outside the frame, for a pan."""
SIDE = 96
"""Side in pixels of the part that moves."""
KINDS = ("light", "fine", "heavy")
CAMERAS = ("at rest", "at rest, noise", "part moves", "pan 1", "pan 4")
"""Camera and scene; the numbers are pixels from frame to frame."""
NOISE = 1.5
"""Standard deviation of a camera's noise in levels of 8 bits."""


@dataclass(frozen=True)
class Clip:
    """Frames with rain and without."""

    rainy: list[np.ndarray]
    """[H, W, 3] uint8 each."""
    clean: list[np.ndarray]
    """[H, W, 3] float32 each, in 0..1."""


def make_clip(clean: Iterable[np.ndarray], kind: str, noise: float = 0.0) -> Clip:
    """Lay rain over frames.

    The same ones give the same clip.

    Args:
        clean: frames, [H, W, 3] float32 in 0..1.
        kind: one of `KINDS`.
        noise: standard deviation of the camera's noise in 0..1.
    """
    random = np.random.default_rng(5)
    rain = Rain.draw_kind(np.random.default_rng(KINDS.index(kind) + 1), kind)
    clip = Clip([], [])
    for frame in clean:
        rainy = add_rain(frame, rain, random).image + noise * random.standard_normal(frame.shape)
        clip.rainy.append(np.rint(255 * np.clip(rainy, 0, 1)).astype(np.uint8))
        clip.clean.append(frame)
    return clip


def draw_frame(photo: np.ndarray, camera: str, number: int) -> np.ndarray:
    """Draw a frame without rain."""
    height, width = (side - BORDER for side in photo.shape[:2])
    shift = int(camera.removeprefix("pan ")) * number % BORDER if camera.startswith("pan") else 0
    frame = photo[:height, shift : shift + width].copy()
    if camera == "part moves":
        left = 8 * number % (width - SIDE)
        below = frame[height // 2 :, left : left + SIDE][:SIDE]
        below[...] = photo[: len(below), :SIDE]
    return frame


def read_frames(file: Path, count: int) -> list[np.ndarray]:
    """Read the first frames of a video.

    They are as `Clip.clean` has them.
    """
    with load_av().open(str(file)) as container:
        frames = itertools.islice(container.decode(video=0), count)
        return [frame.to_ndarray(format="rgb24").astype(np.float32) / np.float32(255) for frame in frames]


def measure_clip(restorer: Restorer, clip: Clip, repeat: int) -> dict[str, Any]:
    """Restore a clip in every way, in turns.

    Returns:
        Milliseconds of a frame, PSNR in dB, and share of the distorted pixels that was reused, by way.
    """
    seconds: dict[str, list[float]] = {one: [] for one in REUSES}
    psnr: dict[str, float] = {}
    reused: dict[str, float] = {}
    density = 0.0
    for turn in range(1 + repeat):  # the first one warms up
        for one in REUSES:
            scene = None if one == "off" else StillScene(STILLNESS[one])
            started = time.perf_counter()
            results = [restorer(frame, scene=scene) for frame in clip.rainy]
            if turn:
                seconds[one].append((time.perf_counter() - started) / len(results))
            density = statistics.mean(result.density for result in results)
            reused[one] = 0.0 if scene is None else scene.reused
            psnr[one] = statistics.mean(
                measure_psnr(result.image.astype(np.float32) / np.float32(255), clean)[0]
                for result, clean in zip(results, clip.clean, strict=True)
            )
    milliseconds = {one: 1e3 * statistics.median(values) for one, values in seconds.items()}
    return {"density": density, "ms": milliseconds, "psnr_db": psnr, "reused": reused}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every clip and return the report."""
    own = arguments.photo
    photo = read_photo("motorcycle_left.png") if own is None else read_image(own).pixels[..., :3]
    real = photo.astype(np.float32) / np.float32(255)
    with Restorer.open(arguments.model, threads=arguments.threads) as restorer:
        rows = list(_measure_all(restorer, real, arguments))
        report = {"benchmark": "scenes", **describe_run(arguments.threads), "backend": restorer.backend}
    height, width = (side - BORDER for side in real.shape[:2])
    report |= {"size": [width, height], "frames": arguments.frames, "rows": rows}
    return {**report, "targets": [goal.to_json() for goal in judge(rows)]}


def _measure_all(restorer: Restorer, photo: np.ndarray, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for kind in arguments.kinds:
        for camera in CAMERAS:
            print_progress(f"{kind} rain, {camera}")
            noise = NOISE / 255 if camera.endswith("noise") else 0.0
            clip = make_clip((draw_frame(photo, camera, one) for one in range(arguments.frames)), kind, noise)
            yield {"kind": kind, "camera": camera, **measure_clip(restorer, clip, arguments.repeat)}
        for file in arguments.clips:
            print_progress(f"{kind} rain, {file.name}")
            clip = make_clip(read_frames(file, arguments.frames), kind)
            yield {"kind": kind, "camera": file.name, **measure_clip(restorer, clip, arguments.repeat)}


def judge(rows: Sequence[Mapping[str, Any]]) -> list[Goal]:
    """Judge the goals of the clips that have one."""
    goals = []
    for row in rows:
        name, faster = f"{row['kind']} rain, {row['camera']}", row["ms"]["off"] / row["ms"]["fast"]
        if row["kind"] == "light" and row["camera"] == "at rest":
            goals.append(Goal(f"{name}: times as fast", AT_REST, faster))
        if row["camera"].startswith("pan"):
            goals.append(Goal(f"{name}: times as fast", PANNING, faster))
        known = row["camera"] in CAMERAS
        for one in ("safe", "fast") if known else ("safe",):
            gain = row["psnr_db"][one] - row["psnr_db"]["off"]
            goals.append(Goal(f"{name}: change of PSNR in dB, {one}", -LOSS, gain))
    return goals


def show(report: Mapping[str, Any]) -> None:
    """Print a report."""
    show_run(report, {})
    print(f"{'x'.join(map(str, report['size']))}, {report['frames']} frames, backend {report['backend']}")
    head = ["rain", "camera", "distorted", "off ms"]
    head += [f"{one} {what}" for one in STILLNESS for what in ("x", "dB", "reused")]
    table = []
    for row in report["rows"]:
        cells = [row["kind"], row["camera"], f"{row['density']:.0%}", f"{row['ms']['off']:.0f}"]
        for one in STILLNESS:
            gain = row["psnr_db"][one] - row["psnr_db"]["off"]
            cells += [f"{row['ms']['off'] / row['ms'][one]:.2f}", f"{gain:+.2f}", f"{row['reused'][one]:.0%}"]
        table.append(cells)
    show_table(head, table)
    show_goals(judge(report["rows"]))


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="rain", help="bundle, or the name of shipped weights")
    parser.add_argument("--photo", type=Path, metavar="FILE", help="photograph, larger than 200x200")
    parser.add_argument("--kinds", type=parse_names(KINDS), default=",".join(KINDS), help="kinds of rain")
    parser.add_argument(
        "--clips", type=Path, nargs="*", default=[], metavar="FILE", help="videos that rain is laid over"
    )
    parser.add_argument("--frames", type=parse_count, default=24)
    parser.add_argument("--threads", type=parse_count, default=2)
    parser.add_argument("--repeat", type=parse_count, default=3, help="turns; medians are reported")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args(words)


def main() -> int:
    """Print the report.

    The exit status is 1 when a goal is missed.
    """
    arguments = parse_arguments()
    report = measure(arguments)
    show(report)
    if arguments.json:
        write_json(arguments.json, report)
    return 0 if all(goal.passed for goal in judge(report["rows"])) else 1


if __name__ == "__main__":
    sys.exit(main())
