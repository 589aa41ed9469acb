"""Mask compaction in Triton's interpreter against its definition: the same pixels, each once, and no other write."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spair.plugins.compaction import kernel as compaction
from spair.plugins.compaction.reference import compact_mask, list_taps
from tests.plugins.kernel_harness import (
    MASKS,
    guarded,
    is_poison,
    launch,
    make_mask,
    make_mutant,
    poisoned,
    require_intact_guards,
)

SIZES = [(1, 1), (1, 15), (4, 4), (1, 17), (5, 7), (3, 16)]
"""Of images, for blocks of 16: one pixel, a block less and more one, and none of its multiples."""


def run(mask: np.ndarray, block: int = 16, kernel=compaction.compact_mask) -> list[list[int]]:
    """Compact a mask and check all that was written; the lists as the kernel ordered them."""
    n, pixels = mask.shape[0], mask[0].size
    index, count = poisoned((n, pixels), np.int32), guarded(np.zeros(n, np.int32))
    arguments = {"p_mask": guarded(mask), "p_index": index, "p_count": count, "pixels": pixels, "BLOCK": block}
    launch(kernel, (-(-pixels // block), n), arguments)
    require_intact_guards(index, count)
    lists = [row[:length].tolist() for row, length in zip(index, count, strict=True)]
    for image, (row, expected) in enumerate(zip(lists, compact_mask(mask), strict=True)):
        assert sorted(row) == expected
        assert is_poison(index[image, len(row) :]).all()
        for start in range(0, pixels, block):
            inside = [pixel for pixel in row if start <= pixel < start + block]
            assert inside == sorted(inside)
    return lists


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_every_active_pixel_is_listed_once(size, kind):
    run(make_mask(kind, 2, *size))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_masks_have_either_float_type(dtype):
    run(make_mask("random", 3, 9, 5).astype(dtype))


def test_any_value_but_zero_is_active():
    mask = np.float32([[[[0.0, -0.0, 1.0, -2.0, 1e-38, 0.5]]]])
    assert run(mask) == [[2, 3, 4, 5]]


def test_images_are_counted_apart():
    lists = run(np.concatenate([make_mask("none", 1, 4, 9), make_mask("all", 1, 4, 9), make_mask("one", 1, 4, 9)]))
    assert [len(row) for row in lists] == [0, 36, 1]


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 8, 32]), st.randoms())
def test_masks_of_any_size(n, h, w, block, random):
    mask = np.float32([random.random() < 0.5 for _ in range(n * h * w)]).reshape(n, 1, h, w)
    run(mask, block)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tl.cumsum(active, 0) - active", "tl.cumsum(active, 0)"),
        ("row + first + place", "row + place"),
        ("row + first + place", "first + place"),
        ("p_mask + row + o_p", "p_mask + o_p"),
        ("mask=o_p < pixels, other=0", "mask=o_p < pixels, other=1"),
        ("p_count + i_n", "p_count"),
        ("mask=active != 0", "mask=o_p < pixels"),
        ("i_block * BLOCK + tl.arange(0, BLOCK)", "tl.arange(0, BLOCK)"),
    ],
)
def test_a_wrong_kernel_is_noticed(old, new, tmp_path):
    mutant = make_mutant(compaction, old, new, tmp_path)
    with pytest.raises(AssertionError):
        run(make_mask("random", 2, 5, 7), kernel=mutant.compact_mask)


WINDOWS = [(3, 1, False), (3, 1, True), (3, 2, False), (5, 1, False), (5, 2, True)]
"""Side, dilation, and whether clean taps are read."""


def run_windows(mask: np.ndarray, window: tuple[int, int, bool], block: int = 64, module=compaction) -> None:
    """List pixels and taps, and check all that was written."""
    kernel, dilation, clean = window
    n, (height, width) = mask.shape[0], mask.shape[2:]
    index, taps = poisoned((n, height * width), np.int32), poisoned((n, height * width), np.int32)
    count = guarded(np.zeros(n, np.int32))
    arguments = {
        "p_mask": guarded(mask), "p_index": index, "p_taps": taps, "p_count": count, "height": height, "width": width,
        "dilation": dilation, "clean_input": int(clean), "K": kernel, "BLOCK": block,
    }  # fmt: skip
    strips = -(-height // 8) * -(-width // (block // 8))
    launch(module.compact_neighbours, (strips, n), arguments)
    require_intact_guards(index, taps, count)
    pixels, words = compact_mask(mask), list_taps(mask, kernel, dilation, clean_input=clean)
    for image in range(n):
        length = count[image]
        assert dict(zip(index[image, :length], taps[image, :length], strict=True)) == dict(
            zip(pixels[image], words[image], strict=True)
        )
        assert length == len(pixels[image])
        assert is_poison(index[image, length:]).all() and is_poison(taps[image, length:]).all()


@pytest.mark.sampled(4)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (9, 7), (3, 17), (17, 5)], ids=str)
def test_every_active_pixel_is_listed_with_its_taps(size, window):
    for kind in MASKS:
        run_windows(make_mask(kind, 2, *size), window)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("block", [64, 256])
def test_taps_of_masks_of_either_type_in_strips_of_any_width(dtype, block):
    run_windows(make_mask("random", 3, 19, 21).astype(dtype), WINDOWS[0], block)


def test_neighbours_in_the_list_are_near_each_other():
    index, count = poisoned((1, 256), np.int32), guarded(np.zeros(1, np.int32))
    mask, taps = guarded(np.ones((1, 1, 16, 16), np.float32)), poisoned((1, 256), np.int32)
    sizes = {"height": 16, "width": 16, "dilation": 1, "clean_input": 0, "K": 3, "BLOCK": 128}
    arguments = {"p_mask": mask, "p_index": index, "p_taps": taps, "p_count": count, **sizes}
    launch(compaction.compact_neighbours, (2, 1), arguments)
    rows, columns = index.reshape(4, 64) // 16, index.reshape(4, 64) % 16
    assert (np.ptp(rows, axis=1) == 7).all() and (np.ptp(columns, axis=1) == 7).all()


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(tap // K - K // 2) * dilation", "(tap // K - K // 2)"),
        ("tap % K - K // 2", "tap // K - K // 2"),
        ("& (o_qx >= 0)", ""),
        ("& (o_qx < width)", ""),
        ("& (o_qy < height)", ""),
        ("& (o_qy >= 0)", ""),
        ("b_read + clean_input != 0", "b_read + clean_input >= 0"),
        (".to(tl.int32) << tap", ".to(tl.int32) << (tap + 1)"),
        ("p_taps + first + before", "p_taps + before"),
        ("p_index + first + before, o_p", "p_index + first + before, o_p + 1"),
        ("p_taps += image", "p_taps += 0"),
        ("p_mask += image", "p_mask += 0"),
        ("(o_y < height) & (o_x < width)", "(o_y < height)"),
        ("// strips * 8", "// strips * 7"),
        ("p_count += tl.program_id(1)", "p_count += 0"),
    ],
)
def test_wrong_taps_are_noticed(old, new, tmp_path):
    mutant = make_mutant(compaction, old, new, tmp_path)
    with pytest.raises(AssertionError):
        run_windows(make_mask("random", 2, 13, 11), (3, 2, False), module=mutant)
