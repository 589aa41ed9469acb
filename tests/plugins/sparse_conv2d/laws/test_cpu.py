"""SparseConv2d on rows, by the kernels of the processor."""

import numpy as np
import pytest

from spair.plugins.sparse_conv2d.reference import sparse_conv2d
from spair.runtime.cpu.library.structures import Factors, RowConvolution, RowTaps
from spair.runtime.cpu.memory.forms import FLOAT, HALF, Form, describe_results, to_halves
from tests.plugins.cpu.machine import pack_words
from tests.plugins.cpu.rows import MASKS, SIZES, Listed, make_mask

CHANNELS = [(3, 3), (16, 24), (11, 40), (24, 72), (5, 112)]


def round_up(count):
    return -(-count // 8) * 8


class Case:
    """A layer with random weights on a random picture."""

    def __init__(self, processor, memory, mask, channels=(11, 24), kernel=3):
        random = np.random.default_rng(3)
        self.processor, self.memory, self.mask, self.kernel = processor, memory, mask, kernel
        inputs, outputs = channels
        self.x = random.standard_normal((inputs, *mask.shape)).astype(np.float32)
        self.weight = random.standard_normal((outputs, inputs, kernel, kernel)).astype(np.float32)
        self.bias = random.standard_normal(outputs).astype(np.float32)
        self.residual = random.standard_normal((outputs, *mask.shape)).astype(np.float32)

    def run(self, rows, *, slope=1.0, add=None, add_at=None, relu=False, around=None, near=True):
        """Return [D, H, W]."""
        outputs, inputs = self.weight.shape[:2]
        stride, wide = round_up(outputs), np.zeros((round_up(outputs), *self.weight.shape[1:]), np.float32)
        wide[:outputs] = self.weight
        taps = wide.transpose(2, 3, 1, 0).reshape(-1, inputs, stride)
        packed, _ = pack_words(self.processor, self.memory, taps, "f32")
        bias = self.memory.put(np.r_[self.bias, np.zeros(stride - outputs + 16)])
        source = around or rows
        x, out = source.pick(self.memory, self.x, round_up(inputs)), self.memory.empty((rows.count + 1, stride))
        call = RowConvolution(x.ctypes.data, packed.ctypes.data, Factors(bias.ctypes.data))
        call.numbers, call.place, call.to.out = source.numbers.ctypes.data, rows.place.ctypes.data, out.ctypes.data
        call.near = rows.near.ctypes.data if near and around is None else None
        call.rows, call.x_stride, call.inputs, call.outputs = rows.count, x.shape[1], inputs, stride
        call.kernel, call.wide, call.slope, call.relu = self.kernel, rows.wide, slope, relu
        if add is not None:
            call.add, call.add_halves = add.ctypes.data, add.dtype == np.uint16
        if add_at is not None:
            call.add_at = add_at.ctypes.data
        self.processor.run("convolve_rows_f32", self.memory, call)
        assert (out[0] == 0).all(), "row 0 stands for absent neighbours"
        assert (out[:, outputs:] == 0).all() or add is not None
        return rows.spread(out)[:outputs]

    def expect(self, **options):
        given = self.mask[None, None].astype(np.float32)
        return sparse_conv2d(self.x[None], given, self.weight, self.bias, **options)[0]

    def check(self, found, expected):
        allowed = 2e-6 * (1 + np.abs(self.weight).sum(axis=(1, 2, 3)).max() * np.abs(self.x).max())
        np.testing.assert_allclose(found, expected, rtol=0, atol=allowed)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("size", SIZES)
def test_any_mask_of_any_size(processor, memory, size, kind):
    case = Case(processor, memory, make_mask(kind, size))
    case.check(case.run(Listed(processor, memory, case.mask)), case.expect())


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("kernel", [1, 3])
def test_any_number_of_channels(processor, memory, channels, kernel):
    case = Case(processor, memory, make_mask("half", (9, 7)), channels, kernel)
    case.check(case.run(Listed(processor, memory, case.mask)), case.expect())


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
def test_the_activation_comes_before_the_sum_and_a_relu_after_it(processor, memory, slope):
    case = Case(processor, memory, make_mask("half", (13, 9)))
    rows = Listed(processor, memory, case.mask)
    added = rows.pick(memory, case.residual, 24)
    expected = case.expect(negative_slope=slope, residual=case.residual[None])
    case.check(case.run(rows, slope=slope, add=added[1:]), expected)
    case.check(case.run(rows, slope=slope, add=added[1:], relu=True), np.maximum(expected, 0))


def test_added_rows_may_stand_elsewhere(processor, memory):
    case = Case(processor, memory, make_mask("half", (13, 9)))
    rows = Listed(processor, memory, case.mask)
    added = rows.pick(memory, case.residual, 24)[1:]
    order = np.random.default_rng(1).permutation(rows.count)
    shuffled, at = memory.put(added[order]), memory.put(np.argsort(order), np.int32)
    case.check(case.run(rows, add=shuffled, add_at=at), case.expect(residual=case.residual[None]))


@pytest.mark.parametrize("channels", [(11, 24), (16, 56)])
def test_halves_are_added_as_float32_of_the_same_value(processor, memory, channels):
    case = Case(processor, memory, make_mask("half", (13, 9)), channels)
    rows = Listed(processor, memory, case.mask)
    halves = memory.put(to_halves(rows.pick(memory, case.residual, channels[1])), np.uint16)[1:]
    widened = memory.put((halves.astype(np.uint32) << 16).view(np.float32))
    order = np.random.default_rng(1).permutation(rows.count)
    at = memory.put(np.argsort(order), np.int32)
    for relu in (False, True):
        expected = case.run(rows, add=widened, relu=relu)
        np.testing.assert_array_equal(case.run(rows, add=halves, relu=relu), expected)
        shuffled = memory.put(halves[order], np.uint16)
        np.testing.assert_array_equal(case.run(rows, add=shuffled, add_at=at, relu=relu), expected)


@pytest.mark.parametrize("kind", MASKS)
def test_a_layer_that_reads_clean_neighbours(processor, memory, kind):
    case = Case(processor, memory, make_mask(kind, (17, 12)))
    around = Listed(processor, memory, np.ones_like(case.mask), ordered=False)
    case.check(case.run(Listed(processor, memory, case.mask), around=around), case.expect(clean_input=True))


def test_neighbours_that_are_left_out_change_no_bit(processor, memory):
    case = Case(processor, memory, make_mask("few", (33, 47)))
    rows = Listed(processor, memory, case.mask)
    np.testing.assert_array_equal(case.run(rows), case.run(rows, near=False))


def test_values_that_are_not_finite_are_not_hidden(processor, memory):
    case = Case(processor, memory, np.ones((3, 4), bool), (8, 8), 1)
    case.x[:, 1, 2] = np.nan
    found = case.run(Listed(processor, memory, case.mask), slope=0.0, relu=True)
    assert np.isnan(found[:, 1, 2]).all() and np.isfinite(found[:, 0]).all()


@pytest.mark.parametrize("outputs", [1, 3, 7])
@pytest.mark.parametrize("kind", MASKS)
def test_shares_of_taps_add_up_to_the_layer(processor, memory, kind, outputs):
    """What stands behind the shares in a row is not added."""
    case = Case(processor, memory, make_mask(kind, (17, 12)), (11, outputs))
    rows, stride = Listed(processor, memory, case.mask), round_up(9 * outputs)
    shares = np.einsum("dcyx,chw->yxdhw", case.weight, case.x).reshape(9 * outputs, *case.mask.shape)
    x = rows.pick(memory, shares, stride)
    x[1:, 9 * outputs :] = np.nan
    bias = memory.put(np.r_[case.bias, np.zeros(8 - outputs)])
    out = memory.put(np.full((rows.count + 1, 8), np.nan))
    call = RowTaps(*(array.ctypes.data for array in (x, rows.numbers, rows.place, bias, out)), rows.count)
    call.x_stride, call.channels, call.wide = stride, outputs, rows.wide
    processor.run("sum_taps_f32", memory, call)
    assert (out[0] == 0).all() and (out[:, outputs:] == 0).all()
    case.check(rows.spread(out)[:outputs], case.expect())


class RoundedCase:
    """A layer that reads steps of int8 or bfloat16, and whose sums are exact in float32."""

    def __init__(self, processor, memory, kind, channels, kernel=3, mask=None):
        random = np.random.default_rng(4)
        self.processor, self.memory, self.kind, self.kernel = processor, memory, kind, kernel
        self.mask = make_mask("half", (9, 13)) if mask is None else mask
        inputs, outputs = channels
        if kind == "i8":
            self.x = random.integers(-128, 128, (inputs, *self.mask.shape))
            self.weight = random.integers(-127, 128, (outputs, inputs, kernel, kernel))
            self.x[:, 2:5, 3:6], self.weight[0] = -128, -127  # the largest sum that there can be
        else:
            self.x = random.integers(-16, 17, (inputs, *self.mask.shape))
            self.weight = random.integers(-16, 17, (outputs, inputs, kernel, kernel))
        self.scale = 2.0 ** random.integers(-9, -6, outputs).astype(np.float32)

    def run(self, form):
        """Return float32 [D, H, W] and the rounded rows [rows, stride]."""
        processor, memory, kind = self.processor, self.memory, self.kind
        outputs, inputs = self.weight.shape[:2]
        rows, stride = Listed(processor, memory, self.mask), round_up(outputs)
        wide = np.zeros((stride, *self.weight.shape[1:]), np.int8 if kind == "i8" else np.float32)
        wide[:outputs] = self.weight
        taps = wide.transpose(2, 3, 1, 0).reshape(-1, inputs, stride)
        packed, above = pack_words(processor, memory, taps if kind == "i8" else to_halves(taps), kind)
        floats = rows.pick(memory, self.x, round_up(inputs))
        x = memory.put(floats + processor.zero_step if kind == "i8" else to_halves(floats), processor.types[kind])
        bias, scale = memory.put(np.zeros(stride + 16)), memory.put(np.r_[self.scale, np.zeros(stride - outputs + 16)])
        out = memory.empty((rows.count + 1, stride))
        rounded = memory.empty((rows.count + 1, stride), processor.types[form.kind])
        factors = Factors(bias.ctypes.data, scale.ctypes.data, above.ctypes.data)
        call = RowConvolution(x.ctypes.data, packed.ctypes.data, factors)
        call.numbers, call.place = rows.numbers.ctypes.data, rows.place.ctypes.data
        call.near = rows.near.ctypes.data
        call.to = describe_results(out.ctypes.data, rounded, None if form == FLOAT else form)
        call.rows, call.x_stride, call.inputs, call.outputs = rows.count, x.shape[1], inputs, stride
        call.kernel, call.wide, call.slope = self.kernel, rows.wide, 0.5
        processor.run(f"convolve_rows_{kind}", memory, call)
        return rows.spread(out)[:outputs], out, rounded

    def expect(self):
        scale = self.scale if self.kind == "i8" else np.ones_like(self.scale)
        x, weight = self.x.astype(np.float32), self.weight.astype(np.float32)
        given = self.mask[None, None].astype(np.float32)
        zeros = np.zeros(len(weight), np.float32)
        sums = sparse_conv2d(x[None], given, weight, zeros)[0] * scale[:, None, None]
        return np.where(sums < 0, sums * np.float32(0.5), sums)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("channels", "kernel"), [((3, 3), 3), ((11, 40), 3), ((24, 72), 1), ((50, 24), 3)])
@pytest.mark.parametrize("kind", ["i8", "bf16"])
def test_rounded_values_have_exact_sums(rounding_processor, memory, kind, channels, kernel):
    case = RoundedCase(rounding_processor, memory, kind, channels, kernel)
    np.testing.assert_array_equal(case.run(FLOAT)[0], case.expect())


WIDE = [(150, 24), (34, 16), (48, 48), (64, 64), (24, 136)]
"""Channels beyond what a thread copies at a time; of an odd number of words; of all widths of panels."""


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("channels", "kernel"), [*((one, 3) for one in WIDE), ((64, 200), 1)])
@pytest.mark.parametrize("kind", ["i8", "bf16"])
def test_rows_side_by_side_have_exact_sums(rounding_processor, memory, kind, channels, kernel):
    """Blocks of rows are read where they are, but for those with a gap in them."""
    mask = np.ones((3, 90), bool)
    mask[1, 40] = mask[2, 70:] = False
    case = RoundedCase(rounding_processor, memory, kind, channels, kernel, mask)
    np.testing.assert_array_equal(case.run(FLOAT)[0], case.expect())


@pytest.mark.parametrize("form", [Form("i8", 0.75), HALF], ids=["steps", "halves"])
def test_results_are_rounded_for_the_next_layer(rounding_processor, memory, form):
    _, floats, rounded = RoundedCase(rounding_processor, memory, "i8", (11, 40)).run(form)
    if form == HALF:
        np.testing.assert_array_equal(rounded, to_halves(floats))
        return
    steps = np.clip(np.rint(floats / np.float32(form.step)), -128, 127) + rounding_processor.zero_step
    np.testing.assert_array_equal(rounded, steps.astype(rounded.dtype))
    assert {-128, 127} <= set(np.unique(steps - rounding_processor.zero_step)), "no value was cut off"
