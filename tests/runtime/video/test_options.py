"""Options fit their codec and container, and what is left open gets a default."""

import builtins

import pytest

from spair.runtime import UserError
from spair.runtime.video.options import CODECS, CONTAINERS, PRESETS, VideoOptions, find_codec, load_av


@pytest.mark.parametrize(
    ("suffix", "depth", "side", "name"),
    [
        (".mp4", 8, 720, "h264"),
        (".mov", 10, 720, "hevc"),
        (".mkv", 12, 64, "hevc"),
        (".mkv", 10, 63, "h264"),
        (".webm", 8, 720, "vp9"),
        (".webm", 10, 720, "av1"),
    ],
)
def test_the_codec_suits_container_depth_and_size(suffix, depth, side, name):
    assert VideoOptions().choose(suffix, depth, side).name == name


def test_every_codec_has_a_container_and_every_container_its_codecs():
    names = {codec.name for codec in CODECS}
    assert set().union(*(kind.codecs for kind in CONTAINERS.values())) == names
    for suffix, kind in CONTAINERS.items():
        for name in kind.codecs:
            assert VideoOptions(name).choose(suffix, 8, 64).name == name


def test_presets_become_the_encoders_own_values():
    for codec in CODECS:
        assert len(codec.presets) == (len(PRESETS) if codec.preset_option else 0)
    assert find_codec("av1").list_options(None, "ultrafast") == {"crf": "20", "preset": "12"}
    assert find_codec("h264").list_options(3, None) == {"crf": "3", "preset": "medium"}
    assert "crf" not in find_codec("ffv1").list_options(None, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"codec": "divx"}, "--codec divx is not written, expected one of h264, hevc, vp9, av1, ffv1"),
        ({"preset": "quick"}, "--preset quick is unknown, expected one of ultrafast,"),
        ({"codec": "h264", "crf": 52}, "--crf 52 is out of range for h264, expected 0 to 51"),
        ({"reuse": "some"}, "--reuse some is unknown, expected one of off, safe, fast"),
        ({"codec": "ffv1", "crf": 3}, "ffv1 is without loss, and has no quality or preset"),
        ({"codec": "ffv1", "preset": "fast"}, "ffv1 is without loss"),
    ],
)
def test_options_that_no_codec_has_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        VideoOptions(**options)


def test_a_quality_that_the_chosen_codec_lacks_is_refused():
    with pytest.raises(UserError, match="--crf 60 is out of range for h264"):
        VideoOptions(crf=60).choose(".mp4", 8, 64)
    assert VideoOptions(crf=60).choose(".webm", 8, 64).name == "vp9"


def test_a_container_without_the_codec_names_those_that_have_it():
    with pytest.raises(UserError, match=r"a \.webm file holds no h264; name the result \.mp4, \.m4v, \.mov, \.mkv, or"):
        VideoOptions("h264").choose(".webm", 8, 64)


def test_a_codec_that_fails_at_small_sides_is_refused():
    with pytest.raises(UserError, match="hevc takes sides of 64 pixels or more, and one has 48"):
        VideoOptions("hevc").choose(".mp4", 8, 48)


def test_without_the_package_one_sentence_has_the_command(monkeypatch):
    own = builtins.__import__

    def refuse(name, *rest):
        if name == "av":
            raise ImportError("No module named 'av'")
        return own(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UserError, match=r"install it: pip install 'spair-rt\[video\]'"):
        load_av()
