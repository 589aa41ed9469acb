"""Models are opened by an import path, warmed, and given as many lanes as they have slots."""

import threading

import numpy as np
import pytest

from spair.runtime import Bundle, Restorer, UserError
from spair.serving.options import ModelOptions
from spair.serving.plane.workers.opening import OPENER, WARM_SIZES, count_lanes, find_opener, open_restorer, warm
from tests.patience import PATIENCE
from tests.serving.plane import commanded


def test_the_usual_opener_opens_a_bundle_with_its_facts(tiny_bundle):
    assert find_opener(OPENER) is open_restorer
    with open_restorer(str(tiny_bundle), ModelOptions(threads=1)) as restorer:
        assert isinstance(restorer, Restorer)
        digest = Bundle.open(tiny_bundle).digest
        assert restorer.facts == {"task": "rain", "preset": "tiny", "precision": "fp32", "digest": digest}
        warm(restorer, 1)


def test_the_usual_opener_refuses_a_model_with_another_digest(tiny_bundle):
    with pytest.raises(UserError, match=r"has the digest .*, expected 0000"):
        open_restorer(str(tiny_bundle), ModelOptions(expect_digest=("0" * 64,)))


def test_an_opener_is_found_by_its_import_path(tmp_path):
    opener = find_opener(commanded.OPENER)
    assert opener is commanded.open_commanded
    with pytest.raises(AttributeError):
        find_opener("tests.serving.plane.commanded:absent")
    with pytest.raises(ModuleNotFoundError):
        find_opener("tests.absent:f")


@pytest.mark.parametrize(
    ("backend", "threads", "lanes"),
    [("onnxruntime", None, 1), ("onnxruntime", 8, 1), ("cuda", 8, 1), ("tensorrt", None, 2), ("tensorrt", 5, 5)],
)
def test_engines_compute_as_many_pictures_at_a_time_as_they_have_slots(tmp_path, backend, threads, lanes):
    assert count_lanes(commanded.Commanded(tmp_path, backend), ModelOptions(threads=threads)) == lanes


def test_all_lanes_are_warmed_at_the_same_time():
    sizes, meeting = [], threading.Barrier(3)

    class Restoring:
        backend, facts = "tensorrt", {}

        def __call__(self, image):
            meeting.wait(PATIENCE)  # ends only when three pictures are computed at a time
            sizes.append(image.shape)
            assert image.dtype == np.uint8 and image.std() > 30

    warm(Restoring(), 3)
    assert sorted(sizes) == sorted((*size, 3) for size in WARM_SIZES for _ in range(3))


def test_a_model_that_fails_on_its_first_picture_is_not_warm(tmp_path):
    class Restoring:
        backend, facts = "onnxruntime", {}

        def __call__(self, image):
            raise KeyError("a bug")

    with pytest.raises(KeyError):
        warm(Restoring(), 1)
