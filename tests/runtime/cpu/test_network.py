"""The network on kernels equals the graphs on ONNX Runtime, and keeps its buffers to itself."""

import resource
import threading

import numpy as np
import pytest

from spair.runtime import Restorer
from spair.runtime.bundle.reader import Bundle
from spair.runtime.clock import StageClock
from spair.runtime.cpu.memory.buffers import Buffers
from spair.runtime.cpu.opening import open_cpu_network
from spair.runtime.tiling.network import PaddedPicture
from spair.runtime.tiling.planning import Limits


@pytest.fixture(scope="module")
def other_bundle(tmp_path_factory):
    """Random weights of a size whose channels are multiples of nothing, larger than tiny at every scale."""
    import torch

    from spair.network import SPAIR, save_checkpoint
    from spair.network.presets import Preset
    from tests.sharing import share_bundle

    folder = tmp_path_factory.mktemp("other")
    torch.manual_seed(11)
    model = SPAIR(Preset("odd", (20, 37, 50), 11, (50, 77, 65), (1, 3, 2), 36, 7, 0.5)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.0, 0.05)
            elif name.endswith("second.weight") and "net_r" in name:
                parameter.normal_(0.0, 0.02)
        model.net_r.out.weight.normal_(0.0, 0.02)
        logits, _ = model.net_l(torch.rand(1, 3, 64, 64))
        model.net_l.head.bias[:4] -= logits.quantile(0.7)
    save_checkpoint(model, folder / "odd.safetensors", task="rain")
    return share_bundle(tmp_path_factory, "odd-bundle", folder / "odd.safetensors")


@pytest.fixture(params=["tiny", "odd"])
def bundle(request):
    """A bundle of the preset tiny, and one with odd numbers of channels."""
    return request.getfixturevalue("tiny_bundle" if request.param == "tiny" else "other_bundle")


@pytest.fixture
def network(bundle, library):
    opened = open_cpu_network(Bundle.open(bundle), "fp32", threads=1, instructions=library.instructions.name)
    yield opened
    opened.close()


def draw(height, width, seed=0):
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


MASKS = {
    "found": lambda size: None,
    "one pixel": lambda size: np.arange(size[0] * size[1]).reshape(size) == size[0] * size[1] // 2,
    "few": lambda size: np.random.default_rng(1).random(size) < 0.02,
    "half": lambda size: np.random.default_rng(1).random(size) < 0.5,
    "all": lambda size: np.ones(size, bool),
}


@pytest.mark.sampled(7)
@pytest.mark.parametrize("kind", MASKS)
def test_results_equal_the_graphs(network, bundle, kind):
    with Restorer.open(bundle, backend="onnxruntime", threads=1) as reference:
        restorer = Restorer(network)
        for size in ((1, 1), (37, 53), (104, 150)):
            picture, mask = draw(*size), MASKS[kind](size)
            found, expected = restorer(picture, mask=mask), reference(picture, mask=mask)
            np.testing.assert_array_equal(found.mask, expected.mask)
            np.testing.assert_allclose(found.image, expected.image, rtol=0, atol=1e-5)
            np.testing.assert_array_equal(found.image[~found.mask], picture[~found.mask])
            if found.mask.any():
                assert np.abs(found.image - picture)[found.mask].max() > 1e-4, "the picture was not restored"


@pytest.mark.sampled(4)
def test_blocks_and_pieces_change_nothing(network, bundle):
    picture = draw(170, 210, 7)  # no logit of either network is within the rounding of sums of its threshold
    whole = Restorer(network)(picture)
    parts = Restorer(network, tile=64, block_pixels=128 * 128)(picture)
    np.testing.assert_array_equal(parts.mask, whole.mask)
    np.testing.assert_allclose(parts.image, whole.image, rtol=0, atol=1e-5)
    assert parts.tiles.packed > whole.tiles.packed


@pytest.mark.sampled(4)
def test_any_number_of_threads_gives_the_same_bits(bundle, library):
    results = []
    for threads in (1, 2, 5):
        network = open_cpu_network(Bundle.open(bundle), "fp32", threads=threads, instructions=library.instructions.name)
        with Restorer(network) as restorer:
            results.append([restorer(draw(90, 131), mask=mask(draw(90, 131).shape[:2])) for mask in MASKS.values()])
    for first, *others in zip(*results, strict=True):
        for other in others:
            np.testing.assert_array_equal(first.image, other.image)
            np.testing.assert_array_equal(first.mask, other.mask)


@pytest.mark.sampled(3)
def test_what_buffers_held_before_is_never_read(network):
    """Every buffer is filled with NaN between two pictures of different sizes."""
    restorer = Restorer(network)
    expected = restorer(draw(61, 83)).image
    restorer(draw(40, 120))
    for buffers in network._idle:
        for array in buffers._held.values():
            array[...] = 0xFF  # NaN as float32, -1 as a number
    np.testing.assert_array_equal(restorer(draw(61, 83)).image, expected)


def test_calls_that_have_addresses_of_arrays_that_are_gone_are_not_repeated(rounded):
    """An array that holds values of one type, and then of a larger one, grows on the way."""
    network = rounded.open()
    with Restorer(network) as restorer:
        for _ in range(3):
            restorer(draw(61, 83))
            (buffers,) = network._idle
            made = buffers.recall(("net_l", 64, 88))
            if made is None:
                continue
            held = [(array.ctypes.data, array.ctypes.data + array.nbytes) for array in buffers._held.values()]
            for _, call in made.calls:
                to = call.to if hasattr(call, "to") else call.layer.to
                for address in filter(None, (to.out, to.rounded)):
                    assert any(first <= address < last for first, last in held)
        assert made is not None, "in the end all have their sizes"


@pytest.mark.sampled(3)
def test_calls_of_a_size_are_repeated_on_new_pixels(network):
    """Once all buffers have their size, a picture takes the calls of the last one of its size."""
    restorer, reference = Restorer(network), Restorer(network)
    everything = np.ones((61, 83), bool)
    for mask in (everything, None):  # no later picture makes a buffer grow
        restorer(draw(61, 83, 9), mask=mask)
    for seed in range(3):
        picture = draw(61, 83, seed)
        found = restorer(picture)
        (buffers,) = network._idle
        assert buffers.recall(("net_l", 64, 88)) is not None
        network._idle[:] = [Buffers()]  # all is described anew
        expected = reference(picture)
        network._idle[:] = [buffers]
        np.testing.assert_array_equal(found.mask, expected.mask)
        np.testing.assert_array_equal(found.image, expected.image)
        restorer(draw(40, 50))


@pytest.mark.sampled(3)
def test_buffers_that_rest_are_given_back_and_change_nothing(network):
    """A limit of nothing gives back every buffer that rests, so a result that stood in one would be lost."""
    restorer, pictures = Restorer(network), [draw(61, 83), draw(40, 120)]
    expected = [restorer(picture).image for picture in pictures]
    (all_kept,) = network._idle
    few_kept = Buffers(limit=0)
    network._idle[:] = [few_kept]
    for picture, image in zip(pictures, expected, strict=True):
        np.testing.assert_array_equal(restorer(picture).image, image)
    assert few_kept.nbytes < 0.9 * all_kept.nbytes, "the maps of Net_L stood beside the rows of Net_R"


def test_two_restorers_in_two_threads(tiny_bundle, compiler):
    pictures = [draw(50 + seed, 70, seed) for seed in range(4)]
    wrong = []

    def work(restorer, expected):
        for _ in range(4):
            for picture, image in zip(pictures, expected, strict=True):
                if not np.array_equal(restorer(picture).image, image):
                    wrong.append(picture.shape)

    with Restorer.open(tiny_bundle, backend="cpu", threads=2) as a, Restorer.open(tiny_bundle, backend="cpu") as b:
        expected = [a(picture).image for picture in pictures]
        threads = [threading.Thread(target=work, args=(restorer, expected)) for restorer in (a, b)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_memory_does_not_grow_with_the_number_of_pictures(tiny_bundle, compiler):
    with Restorer.open(tiny_bundle, backend="cpu", threads=2) as restorer:
        random = np.random.default_rng(3)
        sizes = random.integers(8, 160, (200, 2))
        restorer(draw(160, 160), mask=np.ones((160, 160), bool))
        for height, width in sizes[:40]:
            restorer(draw(height, width))
        kept = restorer.network._idle[0].nbytes
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for height, width in sizes[40:]:
            restorer(draw(height, width))
        assert len(restorer.network._idle) == 1 and restorer.network._idle[0].nbytes <= kept * 9 / 8
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # kilobytes


def test_a_closed_network_restores_nothing_more(tiny_bundle, compiler):
    network = open_cpu_network(Bundle.open(tiny_bundle), "fp32", threads=2)
    picture = PaddedPicture(np.zeros((1, 3, 16, 16), np.float32), (16, 16))
    with network.session() as session:  # it is in use while it is closed
        network.close()
        assert session.restore(picture, Limits(), StageClock()).image.shape == (1, 3, 16, 16)
    network.close()
    with pytest.raises(ValueError, match="was closed"):
        network.restore(picture, Limits(), StageClock())


@pytest.mark.sampled(4)
def test_values_that_are_not_finite_are_refused(network):
    from spair.runtime.errors import GateError

    layer = next(iter(network._restorer._layers.values()))
    layer.bias[...] = np.nan
    with pytest.raises(GateError, match="not finite"):
        Restorer(network)(draw(40, 40), mask=np.ones((40, 40), bool))


class Rounded:
    """Network in a precision that rounds, with one and with several threads."""

    def __init__(self, bundle, precision):
        self.bundle, self.precision = Bundle.open(bundle), precision

    def open(self, threads=1):
        return open_cpu_network(self.bundle, self.precision, threads=threads)


@pytest.fixture(params=["int8", "bf16", "int8-bf16"])
def rounded(request, int8_bundle, compiler):
    return Rounded(int8_bundle, request.param)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", ["found", "few", "all"])
def test_pictures_in_lower_precisions_are_near_those_of_the_graphs(rounded, kind):
    stored = "fp32" if rounded.precision == "bf16" else "int8"
    picture = draw(101, 75)
    with (
        Restorer.open(rounded.bundle.path, backend="onnxruntime", precision=stored, threads=1) as reference,
        Restorer(rounded.open()) as restorer,
    ):
        mask = MASKS[kind]((101, 75))
        expected, found = reference(picture, mask=mask), restorer(picture, mask=mask)
    assert np.mean(found.mask != expected.mask) < 0.02
    both = found.mask & expected.mask
    changed = np.abs(expected.image - picture)[both]
    error = np.abs(found.image - expected.image)[both]
    assert changed.mean() > 1e-3 and error.mean() < 0.1 * changed.mean()
    np.testing.assert_array_equal(found.image[~found.mask], picture[~found.mask])


def test_rounded_buffers_are_never_read_before_they_are_written(rounded):
    """Neither threads nor what stood in the buffers nor a look at inner values changes a bit."""
    network = rounded.open()
    restorer = Restorer(network)
    expected = restorer(draw(61, 83)).image
    restorer(draw(40, 120))
    for buffers in network._idle:
        for array in buffers._held.values():
            array[...] = 0xFF
    np.testing.assert_array_equal(restorer(draw(61, 83)).image, expected)
    run = network._restorer.run
    network._restorer.run = lambda *arguments: run(*arguments, lambda *seen: None)
    np.testing.assert_array_equal(restorer(draw(61, 83)).image, expected)
    restorer.close()
    with Restorer(rounded.open(threads=3)) as others:
        np.testing.assert_array_equal(others(draw(61, 83)).image, expected)


def test_pieces_in_lower_precisions_change_little(rounded):
    picture = draw(130, 150)
    with Restorer(rounded.open()) as whole, Restorer(rounded.open(), tile=64, block_pixels=96 * 96) as parts:
        a, b = whole(picture), parts(picture)
    assert b.tiles.packed > a.tiles.packed
    assert np.mean(a.mask != b.mask) < 1e-3 and np.abs(a.image - b.image).mean() < 1e-3


@pytest.mark.sampled(3)
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", [(1, 1), (37, 53), (88, 90)])
def test_bytes_are_restored_as_floats_are(tiny_bundle, compiler, size, channels, given, monkeypatch):
    """To the bit, and alpha stays."""
    random = np.random.default_rng(4)
    picture = random.integers(0, 256, (*size, channels), dtype=np.uint8)
    mask = random.random(size[::-1]).T < 0.3 if given else None  # its lines do not lie side by side
    with Restorer.open(tiny_bundle, backend="cpu", threads=2, tile=32, block_pixels=64 * 64) as restorer:
        found = restorer(picture, mask=mask)
        assert {"pre", "post"} <= found.timings.keys()
        monkeypatch.setattr(restorer.network, "restore_bytes", lambda *given: None)
        expected = restorer(picture, mask=mask)
    assert found.image.flags.c_contiguous and found.mask.dtype == bool
    np.testing.assert_array_equal(found.image, expected.image)
    np.testing.assert_array_equal(found.mask, expected.mask)
    assert found.tiles == expected.tiles and found.density == expected.density


def test_bytes_in_another_order_are_restored_as_well(tiny_bundle, compiler):
    """Channels that do not lie side by side, and lines in reverse."""
    planes = np.random.default_rng(4).integers(0, 256, (3, 40, 56), dtype=np.uint8)
    with Restorer.open(tiny_bundle, backend="cpu", threads=1) as restorer:
        for picture in (np.moveaxis(planes, 0, 2), np.ascontiguousarray(np.moveaxis(planes, 0, 2))[::-1, ::2]):
            found, expected = restorer(picture), restorer(np.ascontiguousarray(picture))
            np.testing.assert_array_equal(found.image, expected.image)
