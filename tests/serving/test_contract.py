"""The contract names types of the protocol, and both models give the same outputs."""

import pytest

from spair.serving.contract import BYTES_SUFFIX, ENCODED, FREE, PIXELS, VERSION
from spair.serving.tensors import BYTES, DTYPES


def test_versions_are_whole_numbers_as_triton_wants_them():
    assert VERSION.isdigit() and int(VERSION) > 0 and BYTES_SUFFIX == "_bytes"


@pytest.mark.parametrize("contract", [PIXELS, ENCODED], ids=["pixels", "encoded"])
def test_a_contract_has_one_input_and_three_outputs_of_known_types(contract):
    assert [spec.name for spec in contract.inputs] == ["image"]
    assert [spec.name for spec in contract.outputs] == ["restored", "mask", "density"]
    assert {spec.datatype for spec in (*contract.inputs, *contract.outputs)} <= {*DTYPES, BYTES}
    assert all(size == FREE or size > 0 for spec in (*contract.inputs, *contract.outputs) for size in spec.shape)


def test_pixels_are_planes_of_eight_bits():
    image, (restored, mask, density) = PIXELS.inputs[0], PIXELS.outputs
    assert image.shape == restored.shape == (FREE, 3, FREE, FREE) and mask.shape == (FREE, 1, FREE, FREE)
    assert image.datatype == restored.datatype == mask.datatype == "UINT8"
    assert (density.datatype, density.shape) == ("FP32", (FREE,))


def test_files_come_one_at_a_time():
    assert {spec.shape for spec in (*ENCODED.inputs, *ENCODED.outputs)} == {(1,)}
    assert [spec.datatype for spec in ENCODED.outputs] == ["BYTES", "BYTES", "FP32"]
