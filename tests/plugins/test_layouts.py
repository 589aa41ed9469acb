"""Offsets of elements, also where they pass what 32 bits hold: such pictures are too large to be made up in a test."""

import numpy as np
import pytest
import triton
import triton.language as tl

from spair.plugins.layouts import locate
from tests.plugins.kernel_harness import LAYOUTS, launch, poisoned, require_intact_guards


@triton.jit
def write_offsets(p_out, pixel, channel, pixels, channels, pitch, LAYOUT: tl.constexpr):  # noqa: N803
    o_p, o_c = pixel + tl.arange(0, 2), channel + tl.arange(0, 4)
    offsets = locate(tl.program_id(0), o_p[:, None], o_c[None, :], pixels, channels, pitch, LAYOUT)
    to = tl.program_id(0) * 8 + tl.arange(0, 2)[:, None] * 4 + tl.arange(0, 4)[None, :]
    tl.store(p_out + to, offsets)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("pixels", "channels"), [(15, 11), (7680 * 4320, 192), (2**31 - 1, 67)], ids=["small", "8K", "most"]
)
def test_offsets_follow_the_formulas(layout, pixels, channels):
    pixel, channel, pitch = pixels - 2, channels - 4, -(-channels // 8) * 8
    out = poisoned((3, 2, 4), np.int64)
    arguments = {"pixel": pixel, "channel": channel, "pixels": pixels, "channels": channels, "pitch": pitch}
    launch(write_offsets, (3,), {"p_out": out, **arguments, "LAYOUT": LAYOUTS[layout]})
    require_intact_guards(out)
    for n, i, j in np.ndindex(out.shape):
        p, c = pixel + i, channel + j
        expected = {
            "linear": (n * channels + c) * pixels + p,
            "pixels": (n * pixels + p) * pitch + c,
            "chw32": ((n * -(-channels // 32) + c // 32) * pixels + p) * 32 + c % 32,
        }
        assert out[n, i, j] == expected[layout]
