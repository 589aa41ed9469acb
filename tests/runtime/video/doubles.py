"""Quick stand-ins for a restorer, and clips with sound."""

from fractions import Fraction

import av
import numpy as np

from benchmarks.common.clips import SQUARE, write_clip
from spair.runtime import Result
from spair.runtime.tiling.network import TileCounts
from spair.runtime.video.options import VideoOptions
from spair.runtime.video.restoring import restore_video

ALL = 10**9
"""Pixels of a frame without a limit."""
CHAPTERS = [
    {"id": number, "start": 200 * number, "end": 200 * number + 200, "time_base": Fraction(1, 1000),
     "metadata": {"title": f"part {number}"}}
    for number in (0, 1)
]  # fmt: skip


def give(image, restored, mask):
    return Result(restored, mask, float(mask.mean()), {}, TileCounts(0, 1, 0))


def leave_alone(image):
    """Find nothing."""
    return give(image, image, np.zeros(image.shape[:2], bool))


def brighten(image):
    """Change what lies below the number, so that it stays readable."""
    mask = np.zeros(image.shape[:2], bool)
    mask[3 * SQUARE :] = True
    white = np.iinfo(image.dtype).max
    return give(image, np.where(mask[..., None], white - (white - image) // 2, image).astype(image.dtype), mask)


def restore(source, output, restorer=leave_alone, *, codec=None, crf=None, preset=None, reuse="off", **options):
    """Restore a clip with quick options."""
    made = VideoOptions(codec, crf, preset, reuse)
    return restore_video(restorer, source, output, made, max_pixels=ALL, **options)


def write_clip_with_sound(path, frames=12, *, sound="aac", **options):
    """Write a clip with a tone of the same length."""

    silent = path.with_name(f"silent-{path.name}")
    write_clip(silent, frames, **options)
    with av.open(str(silent)) as source, av.open(str(path), "w") as container:
        video = source.streams.video[0]
        copy = container.add_stream_from_template(video, opaque=True)
        audio = container.add_stream(sound, rate=48000)
        audio.layout = "mono"
        audio.metadata["language"] = "deu"
        container.metadata["title"] = "A title with ä"
        container.set_chapters(CHAPTERS)
        for packet in _encode_tone(audio, frames):
            container.mux(packet)
        for packet in source.demux(video):
            if packet.size:
                packet.stream = copy
                container.mux(packet)
    silent.unlink()
    return path


def _encode_tone(stream, frames):
    rate, step = stream.rate, stream.codec_context.frame_size or 1024
    count = round(rate * frames / 25) // step * step or step
    tone = 0.2 * np.sin(np.arange(count) * 2 * np.pi * 440 / rate)
    for start in range(0, count, step):
        samples = (tone[None, start : start + step] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate, frame.pts = rate, start
        yield from stream.encode(frame)
    yield from stream.encode(None)
