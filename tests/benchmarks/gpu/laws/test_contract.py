"""The suite of tests/gpu, on the emulated GPU, so that its own code and its tolerances are tried."""

from dataclasses import replace

import numpy as np
import pytest

from tests.gpu.test_contract import *  # noqa: F403
from tests.runtime.contract import check
from tests.runtime.engine.pictures import draw

# The longest table of the emulated GPU; tests/runtime/engine/laws has it as well.
pytestmark = [pytest.mark.usefixtures("machine"), pytest.mark.sampled(5)]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda result, picture: replace(result, image=picture),
        lambda result, picture: replace(result, image=np.zeros_like(picture)),
        lambda result, picture: replace(result, image=np.roll(result.image, 1, axis=1)),
        lambda result, picture: replace(result, mask=np.roll(result.mask, 1, axis=1)),
        lambda result, picture: replace(result, mask=np.zeros_like(result.mask), density=0.0),
        lambda result, picture: replace(result, density=0.5),
    ],
    ids=["unrestored", "zeros", "shifted picture", "shifted mask", "no mask", "density"],
)
def test_spoiled_results_fail_the_suite(subject, restorer, spoil):
    picture = draw(100, 75)
    result, expected = restorer(picture), subject.reference(picture)
    check(subject, result, expected, picture)
    with pytest.raises(AssertionError):
        check(subject, spoil(result, picture), expected, picture)
