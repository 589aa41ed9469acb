"""Clips are the same each time, and every way to restore them is judged."""

import json

import numpy as np
import pytest

from benchmarks.common.clips import write_clip
from benchmarks.cpu import scenes as benchmark
from benchmarks.cpu.scenes import BORDER, CAMERAS, draw_frame, judge, make_clip, measure, parse_arguments, show
from spair.runtime import write_image
from spair.runtime.images import Picture

pytestmark = pytest.mark.usefixtures("ready_bundle")


@pytest.fixture
def photo():
    return np.random.default_rng(0).random((BORDER + 136, BORDER + 144, 3)).astype(np.float32)


def test_cameras_see_the_photograph(photo):
    rest, later = (draw_frame(photo, "at rest", number) for number in (0, 5))
    np.testing.assert_array_equal(rest, later)
    np.testing.assert_array_equal(draw_frame(photo, "pan 4", 3)[:, :10], photo[:136, 12:22])
    moved = (draw_frame(photo, "part moves", 5) != rest).any(axis=2)
    assert moved[68:, 40:].any() and not moved[:68].any() and not moved[:, :40].any()


def test_the_same_frames_give_the_same_clip_and_rain_moves(photo):
    frames = [draw_frame(photo, "at rest", number) for number in range(2)]
    first, second = make_clip(frames, "light"), make_clip(frames, "light")
    np.testing.assert_array_equal(first.rainy, second.rainy)
    assert not np.array_equal(*first.rainy)
    assert not np.array_equal(make_clip(frames, "light", 0.01).rainy[0], first.rainy[0])


def test_a_small_run_reports_everything(photo, tmp_path, capsys, monkeypatch):
    av = pytest.importorskip("av", reason="PyAV is not installed")
    monkeypatch.setattr(benchmark, "CAMERAS", ("at rest", "pan 1"))
    write_image(tmp_path / "photo.png", Picture((255 * photo).astype(np.uint8)))
    write_clip(tmp_path / "clip.mkv", 3)
    words = ["--photo", str(tmp_path / "photo.png"), "--kinds", "light", "--frames", "2", "--repeat", "1"]
    words += ["--threads", "1", "--clips", str(tmp_path / "clip.mkv")]
    report = json.loads(json.dumps(measure(parse_arguments(words))))
    assert av and [row["camera"] for row in report["rows"]] == ["at rest", "pan 1", "clip.mkv"]
    for row in report["rows"]:
        assert set(row["ms"]) == set(row["psnr_db"]) == {"off", "safe", "fast"} and row["reused"]["off"] == 0
    show(report)
    assert "fast reused" in capsys.readouterr().out


def test_each_camera_has_its_goals():
    row = {"kind": "light", "ms": {"off": 30.0, "safe": 20.0, "fast": 10.0}}
    row["psnr_db"] = {"off": 30.0, "safe": 29.95, "fast": 29.8}
    passed = {
        camera: [goal.passed for goal in judge([{**row, "camera": camera}])] for camera in ("at rest", "pan 1", "a.mp4")
    }
    assert passed == {"at rest": [True, True, False], "pan 1": [True, True, False], "a.mp4": [True]}
    slow = {**row, "ms": {"off": 30.0, "safe": 20.0, "fast": 31.5}}
    assert [goal.passed for goal in judge([{**slow, "camera": "pan 1"}])] == [False, True, False]
    assert set(CAMERAS) >= {"at rest", "pan 1"}
