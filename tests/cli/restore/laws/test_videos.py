"""Videos on the command line: alone, among pictures, damaged, interrupted, and without PyAV."""

import sys

import av
import numpy as np
import pytest

from benchmarks.common.clips import read_numbers, read_times, write_clip
from spair.cli.shared.models import Execution, open_model
from spair.runtime import Restorer
from tests.runtime.video.test_reading import damage


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "clip.mp4", 6)


def test_a_video_is_restored_to_the_file_that_is_named(spair, tiny_bundle, clip, tmp_path):
    out = tmp_path / "new" / "restored.mkv"
    done = spair("restore", tiny_bundle, clip, "--out", out, "--preset", "ultrafast", "--crf", 5, "--json")
    (video,) = done.json["videos"]
    assert done.code == 0 and done.json["images"] == [] and done.json["failed"] == []
    assert (video["output"], video["frames"], video["fps"], video["codec"]) == (str(out), 6, 25.0, "h264")
    assert 0 < video["density"] < 1 and set(video["timings"]) == {"decode", "restore", "encode", "join"}
    assert len(read_numbers(out)) == 6 and read_times(out) == read_times(clip)


def test_a_video_keeps_what_the_network_leaves_alone(spair, tiny_bundle, tmp_path):
    """A frame of the result is what the network makes of that frame as an array."""
    clip = write_clip(tmp_path / "a.mkv", 2, codec="ffv1", format="yuv444p", options={"level": "3"})
    done = spair("restore", tiny_bundle, clip, "--out", tmp_path / "b.mkv", "--codec", "ffv1", "--json")
    assert done.code == 0
    with av.open(str(clip)) as before, av.open(str(tmp_path / "b.mkv")) as after:
        old, new = next(before.decode(video=0)), next(after.decode(video=0))
        planes = [frame.to_ndarray(format="yuv444p") for frame in (old, new)]
        colours = [frame.to_ndarray(format="rgb24") for frame in (old, new)]
    with open_model(tiny_bundle, Execution()) as restorer:
        result = restorer(colours[0])
    assert 0 < result.mask.mean() < 1
    assert np.array_equal(planes[0][:, ~result.mask], planes[1][:, ~result.mask])
    # Roundings of three conversions, each of which reaches a channel up to twofold.
    assert np.abs(colours[1].astype(int) - result.image).max() <= 6


def test_videos_and_pictures_of_a_folder_are_restored_together(spair, tiny_bundle, pairs, tmp_path):
    folder = pairs / "input"
    write_clip(folder / "clip.avi", 3, codec="mpeg4", options={"b": "400000"})
    out = tmp_path / "out"
    done = spair("restore", tiny_bundle, folder, "--out", out, "--preset", "ultrafast", "--save-mask")
    assert done.code == 0, done.err
    assert "clip.mkv" in done.out and "frames/s" in done.out and "66x30" in done.out
    assert "note: masks of videos are not saved (clip.avi)" in done.err
    assert (out / "clip.mkv").is_file() and (out / "7.mask.png").is_file() and not (out / "clip.mask.png").exists()


def test_videos_that_are_done_are_left_alone(spair, tiny_bundle, clip, tmp_path):
    arguments = ("restore", tiny_bundle, clip, "--out", tmp_path / "out", "--skip-existing", "--json")
    assert len(spair(*arguments).json["videos"]) == 1
    assert spair(*arguments).json["skipped"] == [str(clip)]
    assert len(spair(*arguments, "--crf", 30).json["videos"]) == 1


def test_a_damaged_video_is_reported(spair, tiny_bundle, tmp_path):
    clip = write_clip(tmp_path / "a.mp4", 12, size=(160, 96), options={"crf": "5", "bf": "0"})
    damage(clip, 4, "half")
    damage(clip, 8, "whole")
    done = spair("restore", tiny_bundle, clip, "--out", tmp_path / "out")
    assert done.code == 0
    assert "damaged frames, passed on as decoded: 1 (at 0.16 s)" in done.err
    assert "frames that could not be decoded, and are missing: 1" in done.err


@pytest.mark.parametrize(
    ("inputs", "options", "match"),
    [
        (["7.png"], [], "r.mp4 is the name of one video, and the input is .*7.png, which is no video; give a folder"),
        (["clip.mp4", "7.png"], [], "r.mp4 is the name of one video, and the input is 2 inputs; give a folder"),
        (["clip.mp4"], ["--codec", "divx"], "--codec divx is not written"),
        (["clip.mp4"], ["--codec", "h264", "--crf", "60"], "--crf 60 is out of range for h264"),
    ],
)
def test_a_wrong_place_or_option_is_refused_at_once(spair, tiny_bundle, pairs, tmp_path, inputs, options, match):
    folder = pairs / "input"
    write_clip(folder / "clip.mp4", 2)
    given = [folder / name for name in inputs]
    spair("restore", tiny_bundle, *given, "--out", tmp_path / "r.mp4", *options).refused(match)
    assert not (tmp_path / "r.mp4").exists()


def test_without_the_package_videos_are_refused_and_pictures_restored(spair, tiny_bundle, pairs, tmp_path, monkeypatch):
    folder = pairs / "input"
    clip = write_clip(folder / "clip.mp4", 2)
    monkeypatch.setitem(sys.modules, "av", None)
    match = r"videos need the Python package av.*pip install 'spair-rt\[video\]'"
    spair("restore", tiny_bundle, clip, "--out", tmp_path / "out").refused(match)
    done = spair("restore", tiny_bundle, folder, "--out", tmp_path / "out", "--json")
    assert done.code == 1 and len(done.json["images"]) == 2
    assert "spair-rt[video]" in done.json["failed"][0]["error"]


def test_ctrl_c_ends_a_video_and_the_same_command_goes_on(spair, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("spair.runtime.video.encoding.SEGMENT_FRAMES", 2)
    clip = write_clip(tmp_path / "clip.mp4", 12)
    own, calls = Restorer.__call__, []

    def interrupt(self, image, **options):
        calls.append(1)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return own(self, image, **options)

    monkeypatch.setattr(Restorer, "__call__", interrupt)
    arguments = ("restore", tiny_bundle, clip, "--out", tmp_path / "r.mp4")
    done = spair(*arguments)
    assert done.code == 130 and "interrupted: 0 restored, 0 failed, 1 left" in done.err
    done = spair(*arguments)
    assert done.code == 0 and "frames from an interrupted run: " in done.err
    assert len(read_numbers(tmp_path / "r.mp4")) == 12 and len(calls) < 9 + 12


def test_videos_are_not_for_a_cluster(spair, tiny_bundle, clip, tmp_path, monkeypatch):
    monkeypatch.setattr("spair.serving.cluster.connection.load_ray", lambda: None)
    done = spair("restore", tiny_bundle, clip, "--out", tmp_path / "out", "--ray", "local")
    done.refused("--ray restores pictures, and .*clip.mp4 is a video; restore videos without it")
