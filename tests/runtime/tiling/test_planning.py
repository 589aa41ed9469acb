"""Plans cover what is distorted, once, within the limits, and never cost more than one piece would."""

import numpy as np
import pytest

from spair.runtime.profiling.masks import make_mask
from spair.runtime.tiling.costs import Tuning
from spair.runtime.tiling.geometry import Box
from spair.runtime.tiling.planning import Limits, Planner, WorkMap
from spair.runtime.tiling.spec import SpairNetwork

SPEC = SpairNetwork(halo_l=80, halo_r=42, work=(0.6, 0.3, 0.1))
TUNING = Tuning(dense_ns=3000.0, packed_ns=5000.0, window_ns=100.0, call_ns=1e6)
BOTH = ("dense", "packed")


def plan(mask, limits=None, paths=BOTH, spec=SPEC, tuning=TUNING):
    area = Box(0, 0, *mask.shape)
    return Planner(spec, tuning, paths, limits or Limits()).plan(WorkMap(mask, spec), area, area)


def cost(pieces, mask) -> float:
    work = WorkMap(mask, SPEC)
    total = 0.0
    for piece in pieces:
        window = piece.tile.window
        pixels = window.height * window.width
        dense = piece.path == "dense"
        amount = work.work(window.reduced(SPEC.multiple))
        total += TUNING.dense_cost(pixels) if dense else TUNING.packed_cost(pixels, amount)
    return total


@pytest.mark.parametrize("shape", ["streak", "blob", "shadow"])
@pytest.mark.parametrize("density", [0.001, 0.1, 0.6, 1.0])
@pytest.mark.parametrize("size", [(8, 8), (136, 520), (1080, 1920)], ids=str)
def test_every_distorted_pixel_is_in_exactly_one_core(shape, density, size):
    mask = make_mask(shape, *size, density)
    pieces, _ = plan(mask)
    covered = np.zeros(size, int)
    for piece in pieces:
        piece.tile.core.view(covered)[...] += 1
        assert piece.tile.window.contains(piece.tile.core)
    assert (covered[mask] == 1).all()
    assert covered.max(initial=0) <= 1


def test_a_window_reaches_a_halo_beyond_its_core_or_the_border():
    pieces, _ = plan(make_mask("blob", 1080, 1920, 0.3), Limits(side=256))
    for piece in pieces:
        core, window = piece.tile.core, piece.tile.window
        assert core.top - window.top >= min(42, core.top)
        assert window.right - core.right >= min(42, 1920 - core.right)


def test_nothing_is_computed_where_nothing_is_distorted():
    assert plan(np.zeros((512, 512), bool)) == ([], 1)
    lone = np.zeros((1024, 1024), bool)
    lone[700, 300] = True
    pieces, skipped = plan(lone)
    assert len(pieces) == 1
    assert pieces[0].tile.core.height <= 256
    assert skipped >= 3


def test_an_ungated_network_computes_everything():
    spec = SpairNetwork(halo_l=80, halo_r=42, work=(0.6, 0.3, 0.1), gate_output=False)
    pieces, skipped = plan(np.zeros((512, 512), bool), spec=spec)
    assert sum(piece.tile.core.height * piece.tile.core.width for piece in pieces) == 512 * 512
    assert skipped == 0


def test_an_ungated_window_is_bounded_however_sparse():
    """Its last layer reads a whole map, packed or not."""
    spec = SpairNetwork(halo_l=80, halo_r=42, work=(0.6, 0.3, 0.1), gate_output=False)
    for piece in plan(make_mask("uniform", 2000, 2000, 1e-5), spec=spec)[0]:
        assert piece.tile.window.height * piece.tile.window.width <= Limits().dense_pixels


@pytest.mark.parametrize(("density", "path"), [(0.05, "packed"), (0.95, "dense")])
def test_the_cheaper_way_is_taken(density, path):
    pieces, _ = plan(make_mask("streak", 512, 512, density))
    assert {piece.path for piece in pieces} == {path}


def test_half_a_dense_picture_is_cut_out_of_a_sparse_one():
    mask = make_mask("streak", 1024, 1024, 0.05)
    mask[:, :512] = True
    paths = {piece.path: piece.tile.core for piece in plan(mask)[0]}
    assert paths["dense"].right <= 512 + 128
    assert paths["packed"].left >= 512 - 128


@pytest.mark.parametrize("shape", ["streak", "blob", "shadow"])
@pytest.mark.parametrize("density", [0.02, 0.3, 0.6])
def test_a_plan_is_no_dearer_than_any_single_way(shape, density):
    mask = make_mask(shape, 1024, 1024, density)
    endless = Limits(side=10**6, dense_pixels=10**9, packed_pixels=10**9)
    best = cost(plan(mask, endless)[0], mask)
    whole = WorkMap(mask, SPEC).work(Box(0, 0, 128, 128))
    assert best <= min(TUNING.dense_cost(1024**2), TUNING.packed_cost(1024**2, whole))


@pytest.mark.parametrize("paths", [("dense",), ("packed",), BOTH])
def test_pieces_stay_within_the_limits(paths):
    limits = Limits(side=512, dense_pixels=300_000, packed_pixels=50_000)
    mask = make_mask("blob", 1080, 1920, 0.7)
    work = WorkMap(mask, SPEC)
    for piece in plan(mask, limits, paths)[0]:
        window = piece.tile.window
        assert piece.path in paths
        assert max(piece.tile.core.height, piece.tile.core.width) <= 512
        if piece.path == "dense":
            assert window.height * window.width <= 300_000
        else:
            assert work.work(window.reduced(SPEC.multiple)) <= 50_000


def test_impossible_limits_still_give_a_plan():
    mask = np.ones((64, 64), bool)
    pieces, _ = plan(mask, Limits(side=8, dense_pixels=1, packed_pixels=1))
    assert len(pieces) == 64


def test_work_counts_every_scale_by_its_share():
    mask = np.zeros((16, 16), bool)
    mask[3, 3] = True  # 1 pixel at full size, 4 and 16 pixels' worth at half and quarter size
    work = WorkMap(mask, SPEC)
    assert work.work(Box(0, 0, 1, 1)) == pytest.approx(0.6 * 1 + 0.3 * 4 + 0.1 * 16)
    assert work.work(Box(1, 1, 2, 2)) == 0
    full = np.ones((16, 16), bool)
    assert WorkMap(full, SPEC).work(Box(0, 0, 2, 2)) == pytest.approx(256)


def test_limits_must_be_positive():
    with pytest.raises(ValueError, match="limits must be >= 1"):
        Limits(side=0)
