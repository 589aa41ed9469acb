"""The benchmark of videos sees a frame that is lost, and judges by its bounds."""

import numpy as np

from benchmarks.common.clips import draw_frame
from benchmarks.video import count_faults, draw_rain, main
from spair.runtime.video import encoding
from tests.runtime.video.doubles import leave_alone


def test_all_parts_run_on_tiny_clips(tiny_bundle, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.video.OVERLAP", 0.0)  # tiny clips are over before all threads run
    sizes = ["--size", "64x48", "--frames", "4", "--hour", "12", "--count", "40"]
    assert main([str(tiny_bundle), *sizes]) == 0
    out = capsys.readouterr().out
    assert "the slowest stage works for" in out and "40 numbered frames at uneven times: 0 missing" in out


def test_a_part_runs_alone(capsys):
    assert main(["--only", "count", "--count", "20"]) == 0
    assert capsys.readouterr().out == "20 numbered frames at uneven times: 0 missing, doubled or moved\n"


def test_a_lost_frame_is_seen(tmp_path, monkeypatch):
    own = encoding.SegmentWriter.write

    def lose(self, one):
        if one.source.number != 7:
            own(self, one)

    monkeypatch.setattr("benchmarks.video.pass_on", leave_alone)
    monkeypatch.setattr(encoding.SegmentWriter, "write", lose)
    assert count_faults(20, tmp_path) == 1 + 12  # it, and those that stand in the places of others


def test_the_timed_clip_is_rained_on_the_same_each_time():
    clear, rainy = draw_frame(3, 64, 48), draw_rain(3, 64, 48)
    assert 0.01 < (np.abs(rainy.astype(int) - clear) > 8).any(axis=2).mean() < 0.9
    assert np.array_equal(rainy, draw_rain(3, 64, 48))
