"""Measure overlap, memory and lost frames of videos.

Run from the repository root: `python -m benchmarks.video [MODEL] [--only overlap] [--size 1920x1080] [--frames 48]
[--hour 90000] [--count 10000]`. It first measures decoding, restoring and encoding one after the other, then all at
once. It exits 1 when the slowest stage works for less than `OVERLAP` of the run, when an hour takes more memory than a
minute, or when one of the counted frames is missing, doubled or at another time. It takes long on two
cores. `--only` takes one of the three alone, with fewer frames where less will do: `--only overlap --frames 24`, on a
machine that does nothing else; `--only memory --hour 15000` compares a clip with one ten times as long.

Where all stages compute on the same cores, none keeps the pace that it has alone; the share of that is printed as well.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.clips import draw_frame, read_numbers, read_times, write_clip
from spair.runtime import Restorer, Result
from spair.runtime.tiling.network import TileCounts
from spair.runtime.video.encoding import RestoredFrame, SegmentWriter, plan_encoding
from spair.runtime.video.options import VideoOptions
from spair.runtime.video.reading import VideoSource, read_facts
from spair.runtime.video.restoring import restore_video
from spair.runtime.video.segments import keep_segments
from spair.training.simulators.rain import simulate_rain

OVERLAP = 0.95
"""Share of a run in which its slowest stage works."""
MEMORY_MB = 20
"""MB by which two runs of one length differ; a video that stayed in memory would take hundreds."""
ALL = 10**9
PARTS = ("overlap", "memory", "count")
"""Parts of the measurement, as `--only` names them."""
MINUTE = 1500
"""Frames of a minute at 25 frames a second."""

CASE = """
import json, sys
from pathlib import Path
from benchmarks.video import ALL, pass_on
from spair.runtime.profiling.memory import read_peak_memory
from spair.runtime.video.options import VideoOptions
from spair.runtime.video.restoring import restore_video
options = VideoOptions(preset="ultrafast")
record = restore_video(pass_on, Path(sys.argv[1]), Path(sys.argv[2]), options, causes={}, max_pixels=ALL)
print(json.dumps({"peak_mb": read_peak_memory(), "frames": record.frames, "seconds": record.seconds}))
"""


def pass_on(image: np.ndarray) -> Result:
    """Change one pixel.

    So every frame is converted there and back.
    """
    restored = image.copy()
    restored[-1, -1] = 255 - restored[-1, -1]
    mask = np.zeros(image.shape[:2], bool)
    mask[-1, -1] = True
    return Result(restored, mask, float(mask.mean()), {}, TileCounts(0, 1, 0))


def draw_rain(number: int, width: int, height: int) -> np.ndarray:
    """Draw a frame in light rain."""
    clear = draw_frame(number, width, height).astype(np.float32) / 255
    rained = simulate_rain(clear, np.random.default_rng(number), kind="light")
    pixels: np.ndarray = (rained.image * 255).round().astype(np.uint8)
    return pixels


def tint(number: int, width: int, height: int) -> np.ndarray:
    """Fill a frame with one colour, which is quick."""
    return np.full((height, width, 3), number % 256, np.uint8)


def time_stages(clip: Path, restorer: Callable[[np.ndarray], Result], folder: Path) -> dict[str, float]:
    """Measure the seconds of each stage without the others."""
    facts = read_facts(clip, ALL)
    encoding = plan_encoding(facts, VideoOptions(), ".mp4")
    seconds = {}
    started = time.perf_counter()
    with VideoSource(facts, encoding.format, encoding.depth, encoding.colour) as source:
        frames = list(source.frames())
    seconds["decode"] = time.perf_counter() - started
    started = time.perf_counter()
    results = [restorer(frame.pixels) for frame in frames]
    seconds["restore"] = time.perf_counter() - started
    started = time.perf_counter()
    with keep_segments(folder / "alone.mp4", None) as place, SegmentWriter(place, encoding) as writer:
        for frame, result in zip(frames, results, strict=True):
            writer.write(RestoredFrame(frame, result.image, result.density))
        writer.finish()
    seconds["encode"] = time.perf_counter() - started
    return seconds


def measure_overlap(model: str, clip: Path, folder: Path) -> float:
    """Compare a run with its slowest stage.

    Returns:
        The share of the run in which that stage works.
    """
    with Restorer.open(model) as restorer:
        restorer(draw_frame(0, 640, 360))
        alone = time_stages(clip, restorer, folder)
        started = time.perf_counter()
        record = restore_video(restorer, clip, folder / "overlap.mp4", max_pixels=ALL)
        seconds = time.perf_counter() - started
    print(f"{record.width}x{record.height}, {record.frames} frames, {100 * record.density:.1f} % distorted, {model}")
    print("stage     alone s  in the run s")
    for name, value in record.timings.items():
        print(f"{name:8} {alone.get(name, 0.0):8.2f} {value:13.2f}")
    print(
        f"run {seconds:.2f} s, {record.frames / seconds:.2f} frames/s; one after the other {sum(alone.values()):.2f} s"
    )
    share = max(record.timings.values()) / seconds
    print(f"the slowest stage works for {share:.3f} of the run, at {max(alone.values()) / seconds:.3f} of its own pace")
    return share


def measure_memory(clip: Path, folder: Path) -> dict[str, Any]:
    """Restore a clip in a fresh process.

    Returns:
        Peak memory in MB, frames and seconds.
    """
    command = [sys.executable, "-c", CASE, str(clip), str(folder / "memory.mkv")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare_lengths(short: int, long: int, folder: Path) -> float:
    """Measure the memory of two lengths.

    Returns:
        MB that the longer one takes more.
    """
    peaks = []
    for frames in (short, long):
        clip = write_clip(folder / f"{frames}.mkv", frames, size=(320, 180), options={"preset": "ultrafast"}, draw=tint)
        found = measure_memory(clip, folder)
        print(f"{frames} frames of 320x180: peak {found['peak_mb']:.0f} MB, {found['seconds']:.0f} s")
        peaks.append(found["peak_mb"])
    return float(peaks[1] - peaks[0])


def count_faults(frames: int, folder: Path) -> int:
    """Restore numbered frames at uneven times, and read them back.

    Returns:
        Number of frames that are missing, doubled, out of order or at another time.
    """
    randomly = random.Random(1)
    times = [1000]
    for _ in range(frames - 1):
        times.append(times[-1] + randomly.choice([1, 300, 512, 512, 512, 4000]))
    clip = write_clip(folder / "count.mp4", times=times, time_base=Fraction(1, 12800), options={"crf": "23"})
    restore_video(pass_on, clip, folder / "counted.mp4", VideoOptions(preset="fast"), max_pixels=ALL)
    found = list(zip(read_numbers(folder / "counted.mp4"), read_times(folder / "counted.mp4"), strict=True))
    expected = list(zip(range(frames), read_times(clip), strict=True))
    faults = abs(len(found) - len(expected)) + sum(one != other for one, other in zip(found, expected, strict=False))
    print(f"{frames} numbered frames at uneven times: {faults} missing, doubled or moved")
    return faults


def read_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="rain")
    parser.add_argument("--only", choices=PARTS, help="measure this alone")
    parser.add_argument("--size", default="1920x1080", help="width and height of the timed clip")
    parser.add_argument("--frames", type=int, default=48, help="its number of frames")
    parser.add_argument("--hour", type=int, default=60 * MINUTE, help="frames of the long clip")
    parser.add_argument("--count", type=int, default=10_000, help="numbered frames")
    return parser.parse_args(arguments)


def _judge_overlap(given: argparse.Namespace, folder: Path) -> str | None:
    """Say what is missed; None where nothing is."""
    width, height = (int(side) for side in given.size.split("x"))
    clip = write_clip(folder / "timed.mp4", given.frames, size=(width, height), options={"crf": "18"}, draw=draw_rain)
    share = measure_overlap(given.model, clip, folder)
    return f"overlap {share:.3f} is below {OVERLAP}" if share < OVERLAP else None


def _judge_memory(given: argparse.Namespace, folder: Path) -> str | None:
    more = compare_lengths(min(MINUTE, given.hour), given.hour, folder)
    return f"the long clip takes {more:.0f} MB more, expected at most {MEMORY_MB}" if more > MEMORY_MB else None


def _judge_count(given: argparse.Namespace, folder: Path) -> str | None:
    faults = count_faults(given.count, folder)
    return f"{faults} frames are not what they were" if faults else None


def main(arguments: list[str] | None = None) -> int:
    """Measure, and judge.

    Returns:
        The exit code.
    """
    given = read_arguments(arguments)
    judge = {"overlap": _judge_overlap, "memory": _judge_memory, "count": _judge_count}
    with tempfile.TemporaryDirectory() as name:
        found = [judge[part](given, Path(name)) for part in PARTS if given.only in (None, part)]
    failed = [words for words in found if words is not None]
    for words in failed:
        print(f"missed: {words}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
