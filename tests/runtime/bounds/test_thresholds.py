"""Thresholds of the mask are numbers from 0 to 1 or names, and only for networks that take them."""

import math

import numpy as np
import pytest

from spair.runtime import Restorer, UserError
from spair.runtime.bounds.thresholds import PLACES, check_threshold, choose_threshold, parse_thresholds
from spair.runtime.tiling.spec import find_logit
from tests.runtime.samples import photo


@pytest.mark.parametrize("wanted", [-0.001, 1.001, math.nan, math.inf, True, "0.5", "quick", None, [0.5]])
def test_what_is_no_threshold_is_refused_with_what_is_one(wanted):
    with pytest.raises(UserError, match="the threshold is .*, expected a number from 0 to 1, or one of fast, balanced"):
        check_threshold(wanted)


@pytest.mark.parametrize("wanted", [0, 1, 0.0, 1.0, 1e-300, np.float32(0.5), np.int64(1)])
def test_numbers_come_back_as_floats(wanted):
    found = check_threshold(wanted)
    assert type(found) is float and found == wanted


def test_the_networks_own_needs_nothing_of_the_network():
    for wanted in (None, 0.35, "balanced"):
        assert choose_threshold(wanted, own=0.35, is_free=False) is None
    assert choose_threshold("balanced", own=None) is None


@pytest.mark.parametrize("own", [0.01, 0.35, 0.5, 0.99])
def test_names_lie_at_their_distance_in_logits(own):
    for name in ("fast", "best"):
        found = choose_threshold(name, own=own)
        assert math.log(found / (1 - found)) - math.log(own / (1 - own)) == pytest.approx(PLACES[name], abs=1e-12)
    assert choose_threshold("best", own=own) < own < choose_threshold("fast", own=own)


def test_a_network_without_a_mask_or_without_a_choice_says_so():
    with pytest.raises(UserError, match="the threshold is 0.2, and the network finds no mask; leave the threshold out"):
        choose_threshold(0.2, own=None, has_mask=False)
    with pytest.raises(UserError, match=r"is fixed at 0.35, got 0.2; leave it out, or run a bundle with --backend onn"):
        choose_threshold(0.2, own=0.35, is_free=False)
    with pytest.raises(UserError, match=r"is fixed, got best; leave it out"):
        choose_threshold("best", own=None)


@pytest.mark.parametrize(("threshold", "logit"), [(0.0, -math.inf), (1.0, math.inf), (0.5, 0.0)])
def test_logits_reach_from_end_to_end(threshold, logit):
    assert find_logit(threshold) == logit


@pytest.mark.parametrize("threshold", [5e-324, 1e-30, 0.1, 0.35, 0.9, math.nextafter(1, 0)])
def test_logits_are_those_that_graphs_hold(threshold):
    assert find_logit(threshold) == float(np.float32(math.log(threshold / (1 - threshold))))


def test_a_restorer_keeps_its_threshold_and_a_call_may_have_another(tiny_bundle):
    image = photo(37, 53)
    with Restorer.open(tiny_bundle, threads=1) as plain, Restorer.open(tiny_bundle, threads=1, threshold=0.36) as kept:
        assert (plain.threshold, plain.chosen_threshold) == (0.35, None)
        assert (kept.threshold, kept.chosen_threshold) == (0.36, 0.36)
        expected = plain(image, threshold=0.36)
        np.testing.assert_array_equal(kept(image).image, expected.image)
        np.testing.assert_array_equal(kept(image).mask, expected.mask)
        assert 0 < expected.density < plain(image).density < 1
        np.testing.assert_array_equal(kept(image, threshold="balanced").image, plain(image).image)
        with pytest.raises(UserError, match="a mask is given, which needs no threshold, got 0.2; give one of them"):
            plain(image, threshold=0.2, mask=expected.mask)
        np.testing.assert_array_equal(kept(image, mask=expected.mask).image, expected.image)


def test_a_restorer_without_a_choice_closes_what_it_opened(bundles):
    with pytest.raises(UserError, match="finds no mask"):
        Restorer.open(bundles.other().path, threads=1, threshold=0.2)


def test_a_list_is_sorted_and_has_each_threshold_once():
    assert parse_thresholds("0.5, 0.1,0.5,1,0") == (0.0, 0.1, 0.5, 1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("low", "--thresholds has 'low', expected numbers from 0 to 1"),
        ("0.1,", "has '', expected"),
        ("nan", "--thresholds has 'nan', expected numbers from 0 to 1"),
        ("0.1,1.5", "--thresholds has '1.5', expected numbers from 0 to 1"),
        ("best", "--thresholds has 'best', expected numbers from 0 to 1"),
    ],
)
def test_a_list_with_something_else_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_thresholds(text)
