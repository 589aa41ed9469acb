"""Memory is planned before it is taken, and a picture that cannot fit is refused with both figures."""

import numpy as np
import pytest

from spair.runtime import Restorer
from spair.runtime.bounds import memory as bounds
from spair.runtime.bounds.memory import MemoryShortError
from spair.runtime.tiling import memory
from spair.runtime.tiling.memory import (
    check_picture,
    check_whole,
    check_window,
    count_feature_bytes,
    count_picture_bytes,
    find_fitting_tile,
)
from spair.runtime.tiling.planning import Limits
from spair.runtime.tiling.spec import BytesNetwork, ForeignNetwork, SpairNetwork

SPAIR = SpairNetwork(halo_l=80, halo_r=48, channels=(8, 24, 32))
WHOLE = ForeignNetwork(halo=64, reach="whole", tile_error=12.5, bytes_per_pixel=1000.0)
SIDE = 30_000


@pytest.fixture
def free(monkeypatch):
    """`free(count)`: so many bytes of memory are free."""

    def say(count):
        for module in (bounds, memory):
            monkeypatch.setattr(module, "find_free_memory", lambda: count)

    return say


def test_arrays_of_a_picture_are_counted():
    assert count_picture_bytes(SPAIR, 10, 3) == 10 * (38 + 3)
    assert count_picture_bytes(ForeignNetwork(), 10, 8) == 10 * (24 + 8)
    assert count_picture_bytes(BytesNetwork(True, True), 10, 3) == 30
    assert count_feature_bytes(SPAIR) == 4 * (8 + 24 / 4 + 32 / 16)
    assert count_feature_bytes(SpairNetwork(halo_l=0, halo_r=0)) == count_feature_bytes(SPAIR), "tiny where not said"


@pytest.mark.parametrize("spec", [SPAIR, ForeignNetwork(), BytesNetwork(True, True)])
def test_a_picture_that_cannot_fit_is_refused_with_both_figures(free, spec):
    need = count_picture_bytes(spec, SIDE * SIDE, 6)
    free(need - 1)
    said = (
        rf"restoring a picture of 30000x30000 pixels needs {need / 1e9:.1f} GB of memory and {need / 1e9:.1f} GB are "
    )
    with pytest.raises(MemoryShortError, match=said + "free; cut it into parts"):
        check_picture(spec, Limits(), (SIDE, SIDE), 6, layers=False)
    free(need)
    check_picture(spec, Limits(), (SIDE, SIDE), 6, layers=False)
    free(None)
    check_picture(spec, Limits(), (SIDE, SIDE), 6, layers=False)


def test_layers_in_main_memory_count_for_one_block(free):
    block = Limits().block_pixels
    need = count_picture_bytes(SPAIR, block, 3) + memory.LOCALIZED * count_feature_bytes(SPAIR) * block
    free(need - 1)
    with pytest.raises(MemoryShortError):
        check_picture(SPAIR, Limits(), (2000, 2000), 3, layers=True)
    check_picture(SPAIR, Limits(), (2000, 2000), 3, layers=False)
    check_picture(SPAIR, Limits(block_pixels=block // 2), (2000, 2000), 3, layers=True)
    side = 2000 + 2 * SPAIR.halo_l
    need = count_picture_bytes(SPAIR, 9000 * 8000, 3) + memory.LOCALIZED * count_feature_bytes(SPAIR) * side**2
    free(need)
    check_picture(SPAIR, Limits(), (9000, 8000), 3, layers=True)
    free(need - 1)
    with pytest.raises(MemoryShortError):
        check_picture(SPAIR, Limits(), (9000, 8000), 3, layers=True)


def test_a_dense_window_that_cannot_fit_names_the_tile_that_does(free):
    each = memory.DENSE * count_feature_bytes(SPAIR)
    free(each * (256 + 96) ** 2)
    with pytest.raises(MemoryShortError, match=r"a piece of 1400x1400 pixels needs 1.5 GB .*; give --tile 256$"):
        check_window(SPAIR, 1400, 1400)
    free(1000)
    assert find_fitting_tile(SPAIR, each) is None
    with pytest.raises(MemoryShortError, match="; free memory$"):
        check_window(SPAIR, 1400, 1400)
    free(None)
    assert find_fitting_tile(SPAIR, each) == 2048
    check_window(SPAIR, 1400, 1400)


def test_small_work_never_asks(monkeypatch):
    monkeypatch.setattr(bounds, "find_free_memory", lambda: pytest.fail("asked"))
    check_picture(SPAIR, Limits(), (500, 500), 3, layers=True)


def test_a_restorer_plans_before_it_computes(free, tiny_bundle):
    """The two checks stand where the memory is taken: before the picture is converted, and before a piece."""
    image, mask = np.full((600, 600, 3), 9, np.uint8), np.ones((600, 600), bool)
    with Restorer.open(tiny_bundle, threads=1, tile_path="dense") as restorer:
        free(50_000_000)
        with pytest.raises(MemoryShortError, match=r"a piece of 600x600 pixels needs 0.3 GB .* give --tile 128"):
            restorer(image, mask=mask)
        free(1000)
        with pytest.raises(MemoryShortError, match="restoring a picture of 2000x1000 pixels"):
            restorer(np.full((1000, 2000, 3), 9, np.uint8))


def test_a_picture_that_memory_cannot_hold_is_refused_with_the_figures():
    message = (
        r"see a picture whole, and 4000x3000 pixels take about 12.0 GB of memory, of which 2.0 GB are free; give a "
        r"smaller picture, or --tile 1254, the largest that fits; its result differed by up to 12.5 of 255 steps"
    )
    with pytest.raises(MemoryShortError, match=message):
        check_whole(WHOLE, (3000, 4000), 2 * 10**9, 0.0)
    with pytest.raises(MemoryShortError, match="give a smaller picture$"):
        check_whole(WHOLE, (3000, 4000), 10**7, 0.0)


def test_memory_that_was_taken_before_is_used_again():
    assert check_whole(WHOLE, (1000, 1000), 10**9, 0.0) == 10**9
    assert check_whole(WHOLE, (1000, 1000), 10**8, 9 * 10**8) == 10**9
    assert check_whole(WHOLE, (1000, 1000), None, 0.0) == 10**9
    assert check_whole(ForeignNetwork(reach="whole"), (9000, 9000), 1, 0.0) == 0
