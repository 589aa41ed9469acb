"""The operators of tests/plugins/emulated, the same calls within the same bounds, as machine code on a GPU.

No kernel may use TF32: every product asks for IEEE arithmetic. The bounds are for sums in FP32 in any order with exact
products. Ordinary cores fuse multiply and add, which rounds less often. Tensor cores (FP16) are said to align the
products of a step to the largest and to cut off what lies some bits below it: with two spare bits that is within what
the bounds allow a term, but NVIDIA does not document it. INT8 sums are exact. Quotients, square roots and powers are
the GPU's fast ones, off by some units in the last place, for which the bounds leave room but were not derived.
"""

import pytest

from tests.plugins.emulated.test_operators import *  # noqa: F403

pytestmark = pytest.mark.gpu
