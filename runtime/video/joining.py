"""Joining of segments with the other streams of a video.

Nothing is encoded anew: sound, subtitles, attachments, chapters and texts are copied packet by packet.
"""

from __future__ import annotations

import contextlib
import heapq
import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import UserError
from .encoding import FIRST_TICK, Encoding, set_colour
from .options import CONTAINERS, load_av
from .reading import VideoFacts, explaining, open_container
from .segments import Segment, SegmentFolder

_OF_THE_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder"}
"""Texts that say how a file was made, and are not its contents."""
_COPYABLE = ("video", "audio", "subtitle", "attachment", "data")


def check_streams(facts: VideoFacts, encoding: Encoding, suffix: str) -> list[str]:
    """Try out whether a container holds all streams.

    Args:
        facts: facts of the input.
        encoding: encoding of its frames.
        suffix: one of `CONTAINERS`.

    Returns:
        Names of what is left out: data that no player shows, such as a camera's sensors.

    Raises:
        UserError: it does not hold sound, subtitles, an attachment, or the codec of the frames.
    """
    dropped = []
    with open_container(facts.path) as source:
        for stream in source.streams:
            if stream.index == facts.index or _takes(suffix, stream):
                continue
            name = _name_stream(stream)
            if stream.type not in _COPYABLE[:-1]:
                dropped.append(name)
                continue
            able = [one for one in CONTAINERS if _takes(one, stream) and encoding.codec.name in CONTAINERS[one].codecs]
            remedy = f"name the result {able[0]}" if able else "take that stream out of the video first"
            raise UserError(f"a {suffix} file cannot hold the {name} of {facts.path}; {remedy}")
    return dropped


def _takes(suffix: str, stream: Any) -> bool:
    """Write a header with a stream, in memory."""
    av = load_av()
    if stream.type not in _COPYABLE:
        return False
    trial = av.open(io.BytesIO(), "w", format=CONTAINERS[suffix].format)
    try:
        _copy_stream(trial, stream)
        trial.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return False
    finally:
        with contextlib.suppress(av.error.FFmpegError):  # of a file without packets
            trial.close()
    return True


def _name_stream(stream: Any) -> str:
    kind = {"subtitle": "subtitles", "audio": "sound", "video": "second video"}.get(stream.type, stream.type)
    codec = stream.codec_context.name if stream.codec_context else stream.name
    return f"{kind} in stream {stream.index}" + (f" ({codec})" if codec else "")


def join(facts: VideoFacts, encoding: Encoding, folder: SegmentFolder, target: Path, suffix: str) -> None:
    """Write a result from its segments and its input.

    Args:
        facts: facts of the input.
        encoding: encoding of the segments.
        folder: the segments, of which there is one at least.
        target: file to write, under any name.
        suffix: one of `CONTAINERS`, which decides its kind.

    Raises:
        UserError: the input cannot be read any more.
        OSError: the result cannot be written.
    """
    av = load_av()
    name, format = f"file:{target.absolute()}", CONTAINERS[suffix].format
    options = _list_options(facts) if format in ("mp4", "mov") else {}
    with open_container(facts.path) as source, av.open(name, "w", format=format, container_options=options) as result:
        copies, video = {}, None
        for stream in source.streams:
            if stream.index == facts.index:
                video = _add_video(result, facts, encoding, folder, stream)
            elif _takes(suffix, stream):
                copies[stream.index] = _copy_stream(result, stream)
        result.metadata.update({key: text for key, text in source.metadata.items() if key not in _OF_THE_FILE})
        result.set_chapters(source.chapters())
        packets = heapq.merge(
            _list_video(folder, facts, video), _list_copied(source, facts.path, copies), key=lambda pair: pair[0]
        )
        for _, packet in packets:
            result.mux(packet)


def _list_options(facts: VideoFacts) -> dict[str, str]:
    """List options of MP4 and MOV.

    The index comes first, so that players can begin at once. Names with dots, as cameras give, need a table of their
    own. A late start is written in units of the movie, which would be milliseconds.
    """
    with open_container(facts.path) as source:
        flags = "+faststart" + ("+use_metadata_tags" if any("." in key for key in source.metadata) else "")
    return {"movflags": flags, "movie_timescale": str(facts.time_base.denominator)}


def _copy_stream(container: Any, stream: Any) -> Any:
    copy = container.add_stream_from_template(stream, opaque=True)
    copy.metadata.update(stream.metadata)
    copy.disposition = stream.disposition
    return copy


def _add_video(result: Any, facts: VideoFacts, encoding: Encoding, folder: SegmentFolder, stream: Any) -> Any:
    """Add the restored video as the first segment describes it."""
    av = load_av()
    with av.open(f"file:{(folder.place / folder.segments[0].file).absolute()}", format="nut") as first:
        video = result.add_stream_from_template(first.streams.video[0], opaque=True)
    video.metadata.update(stream.metadata)
    video.disposition = stream.disposition
    video.time_base = facts.time_base
    video.codec_context.framerate = facts.rate
    if encoding.codec.name == "hevc" and result.format.name in ("mp4", "mov"):
        video.codec_context.codec_tag = "hvc1"  # the tag that Apple's players take
    set_colour(video, encoding)
    video.set_display_matrix(facts.display_matrix)
    return video


def _list_video(folder: SegmentFolder, facts: VideoFacts, video: Any) -> Iterator[tuple[Fraction, Any]]:
    """Yield the packets of all segments with their times.

    The time to decode a packet is the time to show that many frames before it.
    """
    delay = max(segment.delay for segment in folder.segments)
    tick = max(1, round(1 / (facts.rate * facts.time_base)))
    first = folder.segments[0].start
    shown: list[int] = []
    for number, (packet, time) in enumerate(_read_segments(folder.place, folder.segments, facts.time_base)):
        heapq.heappush(shown, time)
        packet.stream, packet.time_base = video, facts.time_base
        packet.pts = time
        packet.dts = heapq.heappop(shown) if number >= delay else first - (delay - number) * tick
        yield packet.dts * facts.time_base, packet


def _read_segments(place: Path, segments: list[Segment], time_base: Fraction) -> Iterator[tuple[Any, int]]:
    """Yield packets with the times of their frames in ticks."""
    av = load_av()
    for segment in segments:
        with av.open(f"file:{(place / segment.file).absolute()}", format="nut") as container:
            stream = container.streams.video[0]
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                time = int(packet.pts * packet.time_base / time_base) - FIRST_TICK + segment.start
                packet.duration = segment.duration
                yield packet, time


def _list_copied(source: Any, path: Path, copies: dict[int, Any]) -> Iterator[tuple[Fraction, Any]]:
    """Yield the packets of all other streams, as they are."""
    streams = [source.streams[index] for index in copies]
    last = Fraction(0)
    with explaining(path):
        for packet in source.demux(streams) if streams else ():
            time = packet.dts if packet.dts is not None else packet.pts
            if not packet.size and time is None:  # the mark of a stream's end
                continue
            last = time * packet.time_base if time is not None else last
            packet.stream = copies[packet.stream.index]
            yield last, packet
