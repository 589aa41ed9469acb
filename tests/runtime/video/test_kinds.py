"""Videos are known by their content, under any name."""

import numpy as np
import pytest

from benchmarks.common.clips import write_clip
from spair.runtime.images import Picture, write_image
from spair.runtime.images.finding import find_inputs
from spair.runtime.video.kinds import HEAD, find_video, is_video, recognise


@pytest.mark.parametrize(
    ("suffix", "codec", "kind"),
    [
        (".mp4", "libx264", "mov"),
        (".mov", "libx264", "mov"),
        (".mkv", "libx264", "matroska"),
        (".webm", "libvpx-vp9", "matroska"),
        (".avi", "mpeg4", "avi"),
        (".ts", "libx264", "mpegts"),
        (".mpg", "mpeg2video", "mpeg"),
        (".flv", "flv", "flv"),
        (".wmv", "wmv2", "asf"),
        (".mxf", "mpeg2video", "mxf"),
        (".y4m", "wrapped_avframe", "yuv4mpegpipe"),
    ],
)
def test_containers_are_recognised_under_another_suffix(tmp_path, suffix, codec, kind):
    clip = write_clip(tmp_path / f"a{suffix}", 4, codec=codec, options={"b": "200000"})
    assert find_video(clip.rename(tmp_path / "a.dat")) == kind


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"G" * 3,
        b"\x89PNG\r\n\x1a\n",
        b"\0\0\0\x20ftypavif",
        b"\0\0\0\x20ftypheic",
        b"\0\0\0\x20ftypM4A ",
        b"RIFF\0\0\0\0WEBP",
        b"RIFF\0\0\0\0WAVE",
        b"OggS\0\x02 \x01vorbis",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile a.mp4\n",
        b"Go, said the text. " * 60,
    ],
)
def test_pictures_sound_texts_and_lists_of_files_are_no_videos(head):
    assert recognise(head[:HEAD]) is None


def test_sound_in_a_videos_container_is_left_alone(tmp_path):
    (tmp_path / "song.mka").write_bytes(b"\x1a\x45\xdf\xa3 matroska")
    (tmp_path / "film.mkv").write_bytes(b"\x1a\x45\xdf\xa3 matroska")
    assert not is_video(tmp_path / "song.mka") and is_video(tmp_path / "film.mkv")


def test_what_cannot_be_opened_is_none(tmp_path):
    assert find_video(tmp_path / "gone.mp4") is None


def test_folders_give_videos_among_pictures_where_they_are_wanted(tmp_path):
    write_image(tmp_path / "a.png", Picture(np.zeros((4, 4, 3), np.uint8)))
    write_clip(tmp_path / "b.mp4", 2).rename(tmp_path / "b.unknown")
    (tmp_path / "notes.txt").write_text("words")
    found = find_inputs([tmp_path], is_video=is_video)
    assert [(item.path.name, item.video) for item in found] == [("a.png", False), ("b.unknown", True)]
    assert [item.path.name for item in find_inputs([tmp_path])] == ["a.png"]
