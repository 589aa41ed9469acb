"""Costs follow from the masks that were found, and from clocks."""

import statistics
import types

import numpy as np
import pytest

from spair.network.spair import mask_pyramid
from spair.runtime.tiling.spec import ForeignNetwork, SpairNetwork
from spair.training.evaluation.session.cost import Meter, describe_cost

SIZE = {"parameters": 7, "multiply_adds": 1000.0, "multiply_adds_clean": 100.0}
WORK = (0.5, 0.3, 0.2)


class Restorer:
    """Restorer whose calls take 1, 2, 9 seconds; it finds the masks that it is given."""

    def __init__(self, masks, backend="cpu", flips=1):
        self.flips = flips
        self.backend, self.scale, self.now, self.masks, self.asked = backend, 1, 0.0, iter(masks), []
        self.times = iter((1.0, 2.0, 9.0))
        spec = ForeignNetwork() if masks[0] is None else SpairNetwork(80, 40, work=WORK)
        self.network = types.SimpleNamespace(spec=spec)

    def __call__(self, image, **options):
        self.now += next(self.times)
        self.asked.append(options)
        return types.SimpleNamespace(image=image, mask=next(self.masks))


def measure(masks, backend="cpu", **options):
    restorer = Restorer(masks, backend)
    meter = Meter(restorer, clocks=(lambda: restorer.now, lambda: 0.5 * restorer.now), **options)
    for _ in masks:
        meter(np.zeros((20, 24, 3)))
    return restorer, meter


def test_the_multiply_adds_are_those_of_the_masks_at_each_scale():
    import torch

    random = np.random.default_rng(0)
    masks = [random.random((16, 24)) < share for share in (0.0, 0.02, 1.0)]
    _, meter = measure(masks)
    shares = []
    for mask in masks:
        scales = mask_pyramid(torch.from_numpy(mask)[None, None].float())
        shares.append(sum(work * scale.mean().item() for work, scale in zip(WORK, scales, strict=True)))
    assert shares[0] == 0.0 < shares[1] < 1.0 == pytest.approx(shares[2])
    cost = describe_cost(SIZE, meter)
    assert cost["multiply_adds"] == pytest.approx(100.0 + 900.0 * statistics.mean(shares))
    assert (cost["parameters"], cost["multiply_adds_dense"]) == (7, 1000.0)


def test_mirrored_pictures_count_each():
    restorer = Restorer([np.ones((16, 24), bool)], flips=4)
    meter = Meter(restorer, clocks=(lambda: 0.0,) * 2)
    meter(np.zeros((16, 24, 3)))
    cost = describe_cost(SIZE, meter)
    assert (cost["multiply_adds"], cost["multiply_adds_dense"]) == (pytest.approx(4000.0), 4000.0)


def test_sides_that_are_no_multiple_continue_with_their_last_pixels():
    mask = np.zeros((12, 24), bool)
    mask[-1] = True  # rows 11 to 15 of sixteen, 10 to 15 at half size, 8 to 15 at quarter size
    _, meter = measure([mask])
    assert meter.shares == pytest.approx([0.5 * 5 / 16 + 0.3 * 3 / 8 + 0.2 * 2 / 4])


@pytest.mark.parametrize(("backend", "computed"), [("cpu", 1000.0), ("cuda", None)])
def test_times_are_medians_of_the_pictures(backend, computed):
    _, meter = measure([np.ones((16, 16), bool)] * 3, backend)
    cost = describe_cost(SIZE, meter)
    assert (cost["ms"], cost["processor_ms"]) == (2000.0, computed)


def test_a_network_without_masks_computes_every_pixel():
    _, meter = measure([None])
    assert describe_cost(SIZE, meter)["multiply_adds"] == 1000.0
    unknown = describe_cost(dict.fromkeys(SIZE), meter)
    assert [unknown[key] for key in ("parameters", "multiply_adds", "multiply_adds_dense")] == [None] * 3


def test_a_network_that_tells_no_scales_is_counted_by_its_pixels():
    restorer, meter = measure([np.ones((16, 16), bool)])
    del restorer.network.spec
    restorer.network.spec = types.SimpleNamespace(has_mask=True)
    assert meter._find_share(np.arange(16).reshape(4, 4) < 4) == 0.25


def test_a_threshold_is_passed_on():
    mask = np.ones((16, 16), bool)
    assert measure([mask])[0].asked == [{"threshold": None}]
    assert measure([mask], threshold=0.2)[0].asked == [{"threshold": 0.2}]
