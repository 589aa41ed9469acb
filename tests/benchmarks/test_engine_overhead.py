"""The stub runs the product's own path: slots, capture and the fast way for 8-bit pictures."""

import numpy as np

from benchmarks.engine_overhead import main, open_stub


def test_a_picture_takes_the_way_of_the_whole_engine():
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    with open_stub() as restorer:
        for _ in range(4):
            result = restorer(picture)
        assert (result.image.shape, result.mask.shape, result.density) == ((40, 50, 3), (40, 50), 0.0)
        assert set(result.timings) == {"pre", "model", "post"}
        (slots,) = [slots for slots in restorer.network._whole._pool._idle.values() if slots]
        assert [slot.captured for slot in slots] == [True]
        np.testing.assert_array_equal(slots[0]._views["image"][0], picture)  # it reached pinned memory


def test_the_table_has_both_and_the_difference(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["engine_overhead", "--size", "64x48", "--repeat", "3"])
    assert main() in (0, 1)
    assert "64x48: call" in capsys.readouterr().out
