"""Convolutions of maps and pictures, by the kernels of the processor."""

import numpy as np
import pytest

from spair.runtime.cpu.library.structures import (
    Bytes,
    Doubling,
    Factors,
    Finish,
    Head,
    MapConvolution,
    Results,
    Rounding,
)
from spair.runtime.cpu.memory.forms import HALF, Form, describe_results, to_halves
from tests.plugins.cpu.machine import make_call, pack_words
from tests.plugins.cpu.rows import Listed, make_mask


def round_up(count):
    return -(-count // 8) * 8


class Padded:
    """A map [H, W, stride] inside a border of zeros."""

    def __init__(self, memory, planes, stride, border, dtype=np.float32, zero=0):
        self.stride, self.border, self.channels = stride, border, len(planes)
        height, width = planes.shape[1:]
        self.whole = memory.put(np.full((height + 2 * border, width + 2 * border, stride), zero), dtype)
        self.inner = self.whole[border : border + height, border : border + width]
        self.inner[..., : len(planes)] = np.moveaxis(planes, 0, -1)
        self.line = (width + 2 * border) * stride

    def check_border(self):
        self.inner[...] = 0
        assert (self.whole == 0).all()


def convolve(planes, weight, bias, stride, pads):
    """Convolve [C, H, W] with [D, C, k, k] in float64."""
    padded = np.pad(planes.astype(np.float64), ((0, 0), (pads, pads), (pads, pads)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("cyxij,dcij->dyx", windows, weight) + bias[:, None, None]


def describe(processor, memory, x, weight, bias, stride, pads, size, kind="f32", scale=None):
    narrow = {"f32": np.float32, "i8": np.int8, "bf16": np.float32}[kind]
    wide = np.zeros((round_up(len(weight)), x.stride, *weight.shape[2:]), narrow)
    wide[: len(weight), : weight.shape[1]] = weight
    taps = wide.transpose(2, 3, 1, 0).reshape(weight.shape[2], -1, len(wide))
    packed, above = pack_words(processor, memory, to_halves(taps) if kind == "bf16" else taps, kind)
    factors = [
        memory.put(np.r_[one, np.zeros(len(wide) - len(bias) + 16)]) for one in (bias, bias if scale is None else scale)
    ]
    addresses = [one.ctypes.data for one in (*factors, above)]
    start = x.inner.ctypes.data - x.whole.itemsize * pads * (x.line + x.stride)
    call = MapConvolution(start, packed.ctypes.data, Factors(*addresses))
    call.x_line, call.x_next, call.x_step = x.line, stride * x.line, stride * x.stride
    call.lines, call.run, call.outputs = weight.shape[2], weight.shape[3] * x.stride, len(wide)
    call.height, call.width = size
    return call


LAYERS = [(3, 24, 6, 2, 2), (24, 24, 3, 1, 1), (24, 40, 3, 2, 1), (20, 12, 1, 1, 0), (8, 80, 3, 1, 1)]


@pytest.mark.parametrize("size", [(2, 2), (2, 34), (18, 6), (12, 26)])
@pytest.mark.parametrize(("inputs", "outputs", "kernel", "stride", "pads"), LAYERS)
def test_convolutions_of_any_size(processor, memory, size, inputs, outputs, kernel, stride, pads):
    random = np.random.default_rng(6)
    planes = random.standard_normal((inputs, *size)).astype(np.float32)
    weight = random.standard_normal((outputs, inputs, kernel, kernel)).astype(np.float32)
    bias = random.standard_normal(outputs).astype(np.float32)
    expected = convolve(planes, weight, bias, stride, pads)
    x = Padded(memory, planes, 3 if inputs == 3 else round_up(inputs), 2)
    for relu in (False, True):
        out = Padded(memory, np.full(expected.shape, np.nan), round_up(outputs), 1)
        out.whole[...] = np.nan
        added = random.standard_normal(expected.shape).astype(np.float32)
        call = describe(processor, memory, x, weight, bias, stride, pads, expected.shape[1:])
        call.to.out, call.out_line, call.border, call.relu = out.inner.ctypes.data, out.line, 1, relu
        if relu:  # the sum may stand where the result goes
            out.inner[..., :outputs], out.inner[..., outputs:] = np.moveaxis(added, 0, -1), 0
            call.add, call.add_line = out.inner.ctypes.data, out.line
        processor.run("convolve_map_f32", memory, call)
        wanted = np.maximum(expected + added, 0) if relu else expected
        found = np.moveaxis(out.inner[..., :outputs], -1, 0)
        np.testing.assert_allclose(
            found, wanted, rtol=0, atol=2e-6 * (1 + np.abs(weight).sum(axis=(1, 2, 3)).max() * 4)
        )
        out.check_border()


@pytest.mark.parametrize("size", [(2, 2), (6, 10)])
def test_a_doubled_map_is_added(processor, memory, size):
    fine = np.random.default_rng(1).random((24, *size)).astype(np.float32)
    coarse = np.random.default_rng(2).random((24, size[0] // 2, size[1] // 2)).astype(np.float32)
    a, b = Padded(memory, fine, 24, 1), Padded(memory, coarse, 24, 1)
    addresses = (a.inner.ctypes.data, b.inner.ctypes.data, Results(a.inner.ctypes.data))
    processor.run("add_doubled_f32", memory, Doubling(*addresses, a.line, b.line, a.line, *size, 24, 1))
    expected = fine + coarse.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(np.moveaxis(a.inner, -1, 0), expected)
    a.check_border()


@pytest.mark.parametrize("features", [8, 12, 1])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (2, 700)])
def test_the_last_layer_gives_mask_and_features(processor, memory, size, features):
    """Outputs of a position lie side by side, the four logits behind them."""
    random = np.random.default_rng(9)
    planes = random.standard_normal((8, *size)).astype(np.float32)
    step = round_up(features)
    weight = np.zeros((4 * step + 8, 8, 3, 3), np.float32)
    used = [p * step + k for p in range(4) for k in range(features)] + [4 * step + p for p in range(4)]
    weight[used] = random.standard_normal((len(used), 8, 3, 3))
    bias = np.zeros(len(weight), np.float32)
    expected = convolve(planes, weight, bias, 1, 1)
    x = Padded(memory, planes, 8, 1)
    call = Head(describe(processor, memory, x, weight, bias, 1, 1, size))
    found = memory.empty((2 * size[0], 2 * size[1], step))
    mask = memory.empty((2 * size[0], 2 * size[1]))
    call.features, call.mask, call.channels, call.threshold = found.ctypes.data, mask.ctypes.data, step, 0.25
    processor.run("find_mask_f32", memory, call)
    for position in range(4):
        part = slice(position // 2, None, 2), slice(position % 2, None, 2)
        wanted = np.maximum(np.moveaxis(expected[position * step : (position + 1) * step], 0, -1), 0)
        np.testing.assert_allclose(found[part], wanted, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(mask[part], expected[4 * step + position] > 0.25)


@pytest.mark.parametrize("size", [(2, 2), (4, 10), (18, 6)])
def test_pictures_are_read_halved_and_finished(processor, memory, size):
    planes = np.random.default_rng(3).random((3, *size)).astype(np.float32)
    given, padded = memory.put(planes), memory.empty((size[0] + 4, size[1] + 4, 3))
    inner = padded[2:-2, 2:-2]
    at = padded.reshape(-1)[2 * 3 * (size[1] + 4) + 6 :]
    processor.run("read_planes_f32", memory, make_call(given, size[0] * size[1], size[1], *size, at, 2))
    np.testing.assert_array_equal(np.moveaxis(inner, -1, 0), planes)
    np.testing.assert_array_equal(padded, np.pad(inner, ((2, 2), (2, 2), (0, 0))))
    pixels, half = memory.put(np.moveaxis(planes, 0, -1)), memory.empty((size[0] // 2, size[1] // 2, 3))
    processor.run("halve_pixels_f32", memory, make_call(pixels, size[0] // 2, size[1] // 2, half))
    mean = planes.reshape(3, size[0] // 2, 2, size[1] // 2, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(np.moveaxis(half, -1, 0), mean, rtol=0, atol=2e-7)
    rows = Listed(processor, memory, make_mask("half", size))
    residual = memory.put(np.random.default_rng(5).standard_normal((rows.count + 1, 8)))
    addresses = (array.ctypes.data for array in (pixels, residual, rows.place, given))
    call = Finish(*addresses, rows.count, size[0] * size[1], size[1], size[1], 8, 0, 0, *size)
    assert processor.run("finish_planes_f32", memory, call) == 0
    changed = rows.spread(residual)[:3]
    np.testing.assert_array_equal(given, np.where(rows.mask, np.clip(planes + changed, 0, 1), planes))


@pytest.mark.parametrize("failing", [0, 2])
def test_parts_of_pictures_are_read_and_cores_finished(processor, memory, failing):
    """A window is a part of larger planes, and its core a part of the window; NaN outside of it does not count."""
    random, window, size = np.random.default_rng(8), (slice(None), slice(3, 9), slice(2, 12)), (6, 10)
    planes = random.random((3, 14, 20)).astype(np.float32)
    given, pixels = memory.put(planes), memory.empty((*size, 3))
    processor.run("read_planes_f32", memory, make_call(given, 14 * 20, 20, *size, pixels, 0))
    np.testing.assert_array_equal(np.moveaxis(pixels, -1, 0), planes[:, :6, :10])
    processor.run("read_planes_f32", memory, make_call(given[window], 14 * 20, 20, *size, pixels, 0))
    np.testing.assert_array_equal(np.moveaxis(pixels, -1, 0), planes[window])
    rows, core = Listed(processor, memory, make_mask("half", size)), (slice(None), slice(2, 5), slice(1, 8))
    residual = memory.put(random.standard_normal((rows.count + 1, 8)))
    inside = np.zeros((1, *size), bool)
    inside[core] = True
    numbers = rows.numbers[None, 1:-1, 1:-1]
    residual[numbers[inside & (numbers > 0)][0], :failing] = np.nan
    residual[numbers[~inside & (numbers > 0)][0], :2] = np.nan
    out = memory.put(np.full((3, 12, 16), -1.0))
    addresses = (array.ctypes.data for array in (pixels, residual, rows.place, out[:, 5:, 4:]))
    call = Finish(*addresses, rows.count, 12 * 16, 16, size[1], 8, 2, 1, 5, 8)
    assert processor.run("finish_planes_f32", memory, call) == failing
    expected = np.full((3, 12, 16), -1.0, np.float32)
    sums = np.clip(planes[window] + rows.spread(residual)[:3], 0, 1)
    np.copyto(expected[:, 5:8, 4:11], sums[core], where=numbers[core] > 0)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("size", [(6, 14), (4, 78)])
@pytest.mark.parametrize(("inputs", "outputs", "kernel", "stride", "pads"), LAYERS)
@pytest.mark.parametrize("kind", ["i8", "bf16"])
def test_rounded_maps_have_exact_sums(rounding_processor, memory, kind, inputs, outputs, kernel, stride, pads, size):
    """The results are rounded for the next layer too, border and all."""
    processor, random = rounding_processor, np.random.default_rng(7)
    most = {"i8": 127, "bf16": 16}[kind]
    planes = random.integers(-most, most + 1, (inputs, *size))
    weight = random.integers(-most, most + 1, (outputs, inputs, kernel, kernel))
    scale = 2.0 ** random.integers(-9, -6, outputs) if kind == "i8" else np.ones(outputs)
    expected = convolve(planes, weight, np.zeros(outputs), stride, pads) * scale[:, None, None]
    zero = processor.zero_step if kind == "i8" else 0
    given = to_halves(planes.astype(np.float32)) if kind == "bf16" else planes + zero
    x = Padded(memory, given, 3 if inputs == 3 else round_up(inputs), 2, processor.types[kind], zero)
    out = Padded(memory, np.full(expected.shape, np.nan), round_up(outputs), 1)
    size = expected.shape[1:]
    form = Form("i8", 0.5) if kind == "i8" else HALF
    rounded, apart = (memory.empty(out.whole.shape, processor.types[form.kind]) for _ in range(2))
    call = describe(processor, memory, x, weight, np.zeros(outputs), stride, pads, size, kind, scale)
    call.to = describe_results(out.inner.ctypes.data, rounded[1:, 1:].ctypes.data, form)
    call.out_line, call.border = out.line, 1
    processor.run(f"convolve_map_{kind}", memory, call)
    np.testing.assert_array_equal(np.moveaxis(out.inner[..., :outputs], -1, 0), expected)
    again = Rounding(out.whole.ctypes.data, describe_results(None, apart, form), out.whole.size)
    processor.run("round_values", memory, again)
    np.testing.assert_array_equal(rounded, apart)


@pytest.mark.parametrize("kind", ["i8", "bf16"])
def test_the_last_layer_reads_rounded_values(rounding_processor, memory, kind):
    processor, random, size = rounding_processor, np.random.default_rng(8), (3, 7)
    planes, weight = random.integers(-16, 17, (8, *size)), random.integers(-16, 17, (40, 8, 3, 3))
    expected = convolve(planes, weight, np.zeros(40), 1, 1) / 64
    zero = processor.zero_step if kind == "i8" else 0
    values, weights = (planes + zero, weight) if kind == "i8" else (to_halves(planes / 64), weight)
    x = Padded(memory, values, 8, 1, processor.types[kind], zero)
    layer = describe(processor, memory, x, weights, np.zeros(40), 1, 1, size, kind, np.full(40, 1 / 64))
    found, mask = memory.empty((6, 14, 8)), memory.empty((6, 14))
    processor.run(f"find_mask_{kind}", memory, Head(layer, found.ctypes.data, mask.ctypes.data, 8, 0.25))
    for position in range(4):
        part = slice(position // 2, None, 2), slice(position % 2, None, 2)
        wanted = np.maximum(np.moveaxis(expected[8 * position : 8 * position + 8], 0, -1), 0)
        np.testing.assert_array_equal(found[part], wanted)
        np.testing.assert_array_equal(mask[part], expected[32 + position] > 0.25)


def test_numbers_are_rounded_to_the_nearest_and_ties_to_even(rounding_processor, memory):
    """Halves keep what is not a number."""
    processor = rounding_processor
    values = np.r_[np.arange(-140, 140) / 2, -1e30, 1e30, np.inf, -np.inf, np.nan, 1 + 2**-8, 1 + 3 * 2**-8, 3e38]
    x = memory.put(values)
    for form in (Form("i8", 1.0), Form("i8", 1 / 3), HALF):
        found = memory.empty(x.shape, processor.types[form.kind])
        processor.run("round_values", memory, Rounding(x.ctypes.data, describe_results(None, found, form), x.size))
        if form == HALF:
            widened = (found.astype(np.uint32) << 16).view(np.float32)
            assert np.isnan(widened[np.isnan(x)]).all()
            np.testing.assert_array_equal(widened[-3:-1], [1, 1 + 2**-6])
            np.testing.assert_array_equal(widened[280:284], np.r_[widened[280:282], np.inf, -np.inf])
            np.testing.assert_allclose(widened[:280], x[:280], rtol=2**-8)
        else:
            number = ~np.isnan(x)
            with np.errstate(over="ignore"):
                wanted = np.clip(np.rint(x[number] / np.float32(form.step)), -128, 127)
            np.testing.assert_array_equal(found[number].astype(int) - processor.zero_step, wanted)


@pytest.mark.parametrize("size", [(1, 1), (5, 10)])
def test_bytes_are_read_and_written(processor, memory, size):
    """All bytes come back, and restored colours are cut off and rounded to the nearest."""
    full = tuple(-(-side // 8) * 8 for side in size)
    image = memory.put(np.random.default_rng(2).integers(0, 256, (*size, 4)), np.uint8)
    planes, out = memory.empty((3, *full)), memory.empty((*size, 3), np.uint8)
    mask = memory.put(make_mask("half", size), np.uint8)
    addresses = [one.ctypes.data for one in (image, planes, mask, out)]
    call = Bytes(*addresses, image.strides[0], image.strides[1], *size, *full)
    processor.run("read_bytes", memory, call)
    padded = np.pad(image[..., :3], ((0, full[0] - size[0]), (0, full[1] - size[1]), (0, 0)), mode="edge")
    np.testing.assert_array_equal(planes, np.moveaxis(padded, 2, 0) / np.float32(255))
    processor.run("write_bytes", memory, call)
    np.testing.assert_array_equal(out, image[..., :3])
    planes[...] = np.random.default_rng(3).uniform(-0.2, 1.2, planes.shape)
    processor.run("write_bytes", memory, call)
    changed = np.moveaxis(planes[:, : size[0], : size[1]], 0, 2)
    rounded = (np.clip(changed, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    np.testing.assert_array_equal(out, np.where(mask[..., None], rounded, image[..., :3]))
