"""Tasks are computed picture by picture, and one failure hinders no other."""

import numpy as np
import pytest

from spair.runtime import GateError, Picture, Restorer, Result, UserError
from spair.runtime.cuda import CudaError
from spair.runtime.engine.errors import EngineError, LostGpuError
from spair.runtime.images import decode_image, encode_image
from spair.runtime.tiling.network import TileCounts
from spair.serving.plane.workers.memory import Arena
from spair.serving.plane.workers.protocol import FILE_TASK, PIXELS_TASK, Task
from spair.serving.plane.workers.restoring import is_lost, run_task

BOTH = ("restored", "mask")


@pytest.fixture
def arena():
    one = Arena()
    yield one
    one.close()


class Foreign:
    """A network without a mask; it refuses pictures whose first pixel is 255."""

    backend, facts, scale = "onnxruntime", {}, 1

    def __init__(self, error=None):
        self.error = error

    def __call__(self, image):
        if self.error and image.flat[0] == 255:
            raise self.error
        return Result(255 - image, None, 1.0, {"model": 0.5}, TileCounts(dense=1))


def test_pixels_give_what_the_restorer_gives(tiny_bundle, arena):
    values = np.random.default_rng(0).integers(0, 256, (2, 3, 9, 21), np.uint8)
    arena.write(0, values)
    with Restorer.open(tiny_bundle, threads=1) as restorer:
        reply = run_task(restorer, Task(PIXELS_TASK, values.shape, BOTH), arena)
        for index, report in enumerate(reply.reports):
            expected = restorer(np.ascontiguousarray(values[index].transpose(1, 2, 0)))
            restored, mask = (arena.read(*reply.places[name])[index] for name in BOTH)
            np.testing.assert_array_equal(restored, expected.image.transpose(2, 0, 1))
            np.testing.assert_array_equal(mask[0], expected.mask)
            assert report.density == expected.density and not report.failure and report.stages.keys() >= {"net_l"}
            assert report.tiles == (expected.tiles.skipped, expected.tiles.packed, expected.tiles.dense)
    np.testing.assert_array_equal(arena.read(0, values.shape), values)  # results overwrite no picture


@pytest.mark.parametrize("wanted", [(), ("mask",), ("restored",), BOTH])
def test_only_wanted_outputs_take_memory(arena, wanted):
    values = np.zeros((1, 3, 4, 4), np.uint8)
    arena.write(0, values)
    reply = run_task(Foreign(), Task(PIXELS_TASK, values.shape, wanted), arena)
    assert set(reply.places) == set(wanted)
    file = encode_image(Picture(np.zeros((4, 4, 3), np.uint8)))
    arena.write(0, file)
    reply = run_task(Foreign(), Task(FILE_TASK, (len(file),), wanted, max_pixels=16), arena)
    assert set(reply.places) == set(wanted) and not reply.reports[0].failure


class Doubling(Foreign):
    """A network that gives pictures twice as large."""

    scale = 2

    def __call__(self, image):
        return Result(image.repeat(2, 0).repeat(2, 1), None, 1.0, {}, TileCounts(dense=1))


def test_larger_pictures_have_their_place(arena):
    values = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 7), np.uint8)
    arena.write(0, values)
    reply = run_task(Doubling(), Task(PIXELS_TASK, values.shape, BOTH), arena)
    np.testing.assert_array_equal(arena.read(*reply.places["restored"]), values.repeat(2, 2).repeat(2, 3))
    assert arena.read(*reply.places["mask"]).shape == (2, 1, 5, 7)
    file = encode_image(Picture(np.ascontiguousarray(values[0].transpose(1, 2, 0))))
    arena.write(0, file)
    reply = run_task(Doubling(), Task(FILE_TASK, (len(file),), BOTH, max_pixels=99), arena)
    assert decode_image(arena.read(*reply.places["restored"]).tobytes()).pixels.shape == (10, 14, 3)


def test_a_network_without_a_mask_gives_ones(arena):
    values = np.full((2, 3, 3, 5), 7, np.uint8)
    arena.write(0, values)
    reply = run_task(Foreign(), Task(PIXELS_TASK, values.shape, BOTH), arena)
    assert (arena.read(*reply.places["mask"]) == 1).all() and reply.reports[0].density == 1.0
    file = encode_image(Picture(values[0].transpose(1, 2, 0)))
    arena.write(0, file)
    reply = run_task(Foreign(), Task(FILE_TASK, (len(file),), BOTH, max_pixels=99), arena)
    assert (decode_image(arena.read(*reply.places["mask"]).tobytes()).pixels == 255).all()


@pytest.mark.parametrize(
    ("error", "sentence", "status"),
    [
        (UserError("a sentence"), "a sentence", 400),
        (GateError("not finite"), "not finite", 500),
        (EngineError("it does not run"), "it does not run", 500),
        (MemoryError(), "memory ran out; send smaller pictures", 500),
        (MemoryError("5 GiB"), r"memory ran out (5 GiB); send smaller pictures", 500),
        (KeyError("x"), "restoring the picture failed with an internal error (KeyError); its traceback", 500),
    ],
)
def test_one_picture_that_fails_hinders_no_other(arena, capfd, error, sentence, status):
    values = np.stack([np.full((3, 2, 2), value, np.uint8) for value in (1, 255, 3)])
    arena.write(0, values)
    reply = run_task(Foreign(error), Task(PIXELS_TASK, values.shape, BOTH), arena)
    assert [bool(report.failure) for report in reply.reports] == [False, True, False]
    assert reply.reports[1].failure.startswith(sentence) and reply.reports[1].status == status
    restored = arena.read(*reply.places["restored"])
    assert (restored[0] == 254).all() and (restored[2] == 252).all() and not reply.lost
    assert ("Traceback" in capfd.readouterr().err) == isinstance(error, KeyError)


@pytest.mark.parametrize("kind", [PIXELS_TASK, FILE_TASK])
def test_a_lost_gpu_ends_the_whole_task(arena, kind):
    values = np.full((1, 3, 2, 2), 255, np.uint8)
    data = values.tobytes() if kind == PIXELS_TASK else encode_image(Picture(values[0].transpose(1, 2, 0)))
    arena.write(0, data)
    shape = values.shape if kind == PIXELS_TASK else (len(data),)
    reply = run_task(Foreign(LostGpuError("the GPU was lost")), Task(kind, shape, BOTH, max_pixels=4), arena)
    assert reply.lost == "the GPU was lost" and reply.reports == ()


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (LostGpuError("x"), True),
        (EngineError("the driver says: illegal memory access"), False),
        (CudaError("refused", 700), True),
        (CudaError("refused", 2), False),
        (RuntimeError("CUDA failure 700: an illegal memory access was encountered ; GPU=0"), True),
        (RuntimeError("CUDA failure 2: out of memory"), False),
        (RuntimeError("an unknown error"), False),
        (UserError("CUDA: unknown error"), False),
        (MemoryError("CUDA unknown error"), False),
    ],
)
def test_only_a_gpu_that_nothing_runs_on_any_more_is_lost(error, lost):
    assert is_lost(error) is lost


def test_a_picture_with_too_many_pixels_has_a_status_of_its_own(arena):
    file = encode_image(Picture(np.zeros((4, 5, 3), np.uint8)))
    arena.write(0, file)
    (report,) = run_task(Foreign(), Task(FILE_TASK, (len(file),), BOTH, max_pixels=19), arena).reports
    assert report.status == 413 and "5x4 is more than 19 pixels" in report.failure


def test_results_larger_than_the_file_do_not_overwrite_it(arena):
    picture = Picture(np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8))
    file = encode_image(picture, "JPEG")
    arena.write(0, file)
    reply = run_task(Foreign(), Task(FILE_TASK, (len(file),), BOTH, max_pixels=999), arena)
    assert arena.read(0, [len(file)]).tobytes() == file
    expected = 255 - decode_image(file).pixels
    np.testing.assert_array_equal(decode_image(arena.read(*reply.places["restored"]).tobytes()).pixels, expected)


def test_a_task_has_its_own_threshold(tiny_bundle, arena):
    values = np.random.default_rng(0).integers(0, 256, (2, 3, 9, 21), np.uint8)
    picture = Picture(np.ascontiguousarray(values[0].transpose(1, 2, 0)))
    file = encode_image(picture, "PNG")
    with Restorer.open(tiny_bundle, threads=1) as restorer:
        expected = restorer(picture.pixels, threshold=0.36)
        assert 0 < expected.density < restorer(picture.pixels).density
        for task, data in (
            (Task(PIXELS_TASK, values.shape, BOTH, threshold=0.36), values),
            (Task(FILE_TASK, (len(file),), BOTH, max_pixels=999, threshold=0.36), file),
        ):
            arena.write(0, data)
            assert run_task(restorer, task, arena).reports[0].density == expected.density


def test_a_threshold_that_a_network_does_not_take_is_the_clients_fault(arena):
    class Fixed(Foreign):
        def __call__(self, image, threshold):
            raise UserError(f"no {threshold}")

    arena.write(0, np.zeros((1, 3, 2, 2), np.uint8))
    (report,) = run_task(Fixed(), Task(PIXELS_TASK, (1, 3, 2, 2), BOTH, threshold=0.2), arena).reports
    assert (report.failure, report.status) == ("no 0.2", 400)
