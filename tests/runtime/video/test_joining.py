"""What a container holds is copied, and what it cannot hold is said before the work."""

from fractions import Fraction

import av
import pytest

from benchmarks.common.clips import list_packets, write_clip
from spair.runtime import UserError
from tests.runtime.video.doubles import restore, write_clip_with_sound


def refuse(image):
    raise AssertionError("the container was to be refused before the first frame")


def write_with_subtitles(path, codec="subrip"):
    """Write a Matroska file with subtitles, a font and a cover picture."""
    silent = write_clip(path.with_name("silent.mkv"), 25)
    with av.open(str(silent)) as source, av.open(str(path), "w") as container:
        video = source.streams.video[0]
        copy = container.add_stream_from_template(video, opaque=True)
        texts = container.add_mux_stream(codec)
        texts.time_base = Fraction(1, 1000)
        texts.metadata["language"] = "fra"
        container.add_attachment("letters.ttf", "font/ttf", b"letters")
        for number in range(2):
            packet = av.Packet(f"Line {number}".encode())
            packet.stream, packet.pts, packet.dts, packet.duration = texts, 400 * number, 400 * number, 300
            packet.time_base = texts.time_base
            container.mux(packet)
        for packet in source.demux(video):
            if packet.size:
                packet.stream = copy
                container.mux(packet)
    silent.unlink()
    return path


def test_subtitles_and_attachments_are_copied(tmp_path):
    clip = write_with_subtitles(tmp_path / "a.mkv")
    restore(clip, tmp_path / "b.mkv")
    for path in (clip, tmp_path / "b.mkv"):
        assert [data for _, data in list_packets(path, "subtitle")] == [b"Line 0", b"Line 1"]
        with av.open(str(path)) as container:
            assert container.streams.subtitles[0].metadata["language"] == "fra"
            assert [(one.name, one.data) for one in container.streams.attachments] == [("letters.ttf", b"letters")]
    assert list_packets(clip, "subtitle") == list_packets(tmp_path / "b.mkv", "subtitle")


@pytest.mark.parametrize(
    ("make", "out", "words"),
    [
        (write_with_subtitles, "b.mp4", r"a \.mp4 file cannot hold the subtitles in stream 1 \(s\w+\) of .*; name the "
                                        r"result \.mkv$"),
        (write_clip_with_sound, "b.webm", r"a \.webm file cannot hold the sound in stream 1 \(aac\) of .*; name the "
                                          r"result \.m"),
    ],
)  # fmt: skip
def test_a_container_that_cannot_hold_a_stream_is_refused_with_one_that_can(tmp_path, make, out, words):
    clip = make(tmp_path / "a.mkv")
    with pytest.raises(UserError, match=words):
        restore(clip, tmp_path / out, refuse)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def test_sound_that_webm_holds_is_copied_to_it(tmp_path):
    clip = write_clip_with_sound(tmp_path / "a.mkv", 12, sound="libopus")
    restore(clip, tmp_path / "b.webm", preset="ultrafast")
    assert [data for _, data in list_packets(tmp_path / "b.webm", "audio")] == [
        data for _, data in list_packets(clip, "audio")
    ]


def test_a_cover_picture_is_copied(tmp_path):
    clip = write_clip(tmp_path / "silent.mp4", 6)
    with av.open(str(clip)) as source, av.open(str(tmp_path / "a.mp4"), "w") as container:
        copy = container.add_stream_from_template(source.streams.video[0], opaque=True)
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 16, 16, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        pictures = cover.encode(av.VideoFrame(16, 16, "rgb24"))
        for packet in [one for one in source.demux(video=0) if one.size]:
            packet.stream = copy
            container.mux(packet)
        container.mux([*pictures, *cover.encode(None)])
    restore(tmp_path / "a.mp4", tmp_path / "b.mp4")
    found = []
    for path in (tmp_path / "a.mp4", tmp_path / "b.mp4"):
        with av.open(str(path)) as container:
            covers = [one for one in container.streams if one.disposition & av.stream.Disposition.attached_pic]
            packets = [[bytes(packet) for packet in container.demux(one) if packet.size] for one in covers]
            found.append(([one.codec_context.name for one in covers], packets))
    assert found[0] == found[1] and found[0][0] == ["png"]


def test_texts_of_cameras_are_kept(tmp_path):
    def prepare(container, stream):
        container.metadata["com.apple.quicktime.model"] = "A camera"

    silent = write_clip(tmp_path / "silent.mov", 3)
    with av.open(str(silent)) as source:
        options = {"movflags": "use_metadata_tags"}
        with av.open(str(tmp_path / "a.mov"), "w", container_options=options) as container:
            copy = container.add_stream_from_template(source.streams.video[0], opaque=True)
            prepare(container, copy)
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = copy
                    container.mux(packet)
    restore(tmp_path / "a.mov", tmp_path / "b.mov")
    with av.open(str(tmp_path / "b.mov")) as container:
        assert container.metadata["com.apple.quicktime.model"] == "A camera"


def test_players_can_begin_at_once(tmp_path):
    """The index of the result stands before the frames."""
    restore(write_clip(tmp_path / "a.mp4", 3), tmp_path / "b.mp4")
    content = (tmp_path / "b.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
