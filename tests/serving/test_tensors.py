"""Tensors come out of the wire as they went in, and lies about their sizes are refused."""

import numpy as np
import pytest

from spair.serving.errors import BadRequestError
from spair.serving.tensors import BYTES, DTYPES, Tensor, pack_bytes, read_raw, read_values, write_raw

NUMBERS = [name for name in DTYPES if name not in ("BOOL",)]


def example(datatype, shape=(2, 3)):
    dtype = DTYPES[datatype]
    values = np.random.default_rng(0).integers(0, 2 if dtype.kind == "b" else 100, shape)
    return Tensor("x", datatype, values.astype(dtype))


@pytest.mark.parametrize("datatype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3), (1, 3, 1, 1)], ids=str)
def test_binary_tensors_come_out_as_they_went_in(datatype, shape):
    tensor = example(datatype, shape)
    back = read_raw("x", datatype, shape, write_raw(tensor))
    assert back.values.dtype == DTYPES[datatype] and back.shape == shape
    np.testing.assert_array_equal(back.values, tensor.values)


@pytest.mark.parametrize("datatype", ["UINT16", "INT64", "FP16", "FP32", "FP64"])
def test_binary_tensors_are_little_endian_and_in_c_order(datatype):
    tensor = example(datatype)
    expected = tensor.values.astype(DTYPES[datatype].newbyteorder("<")).tobytes()
    assert write_raw(tensor) == expected
    assert write_raw(Tensor("x", datatype, np.asfortranarray(tensor.values))) == expected
    big = tensor.values.astype(DTYPES[datatype].newbyteorder(">"))
    assert write_raw(Tensor("x", datatype, big)) == expected


def test_reading_shares_the_memory_of_the_body():
    raw = bytes(range(12))
    assert np.shares_memory(read_raw("x", "UINT8", (3, 4), raw).values, np.frombuffer(raw, np.uint8))
    assert read_raw("x", "UINT8", (3, 4), memoryview(raw)).values.tolist()[2] == [8, 9, 10, 11]


@pytest.mark.parametrize("elements", [[], [b""], [b"a"], [b"", b"abc\0", b"\xff" * 300]])
def test_bytes_have_their_lengths_before_them(elements):
    tensor = pack_bytes("x", elements)
    assert tensor.datatype == BYTES and tensor.shape == (len(elements),)
    raw = write_raw(tensor)
    assert raw == b"".join(len(element).to_bytes(4, "little") + element for element in elements)
    assert read_raw("x", BYTES, (len(elements),), raw).values.tolist() == elements


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "sentence"),
    [
        ("UINT8", (2, 3), b"12345", r"the input x has 5 bytes, expected 6 for UINT8 of shape \[2, 3\]"),
        ("FP32", (2,), b"1234567", r"has 7 bytes, expected 8 for FP32"),
        ("UINT8", (), b"", "has 0 bytes, expected 1"),
        ("UINT8", (0,), b"1", "has 1 bytes, expected 0"),
        ("UINT8", (-1, 3), b"", r"has the shape \[-1, 3\], expected sizes of 0 or more"),
        ("UINT8", (True,), b"1", r"has the shape \[True\], expected sizes of 0 or more"),
        ("UINT8", (1.0,), b"1", r"has the shape \[1.0\]"),
        ("UINT8", ("1",), b"1", r"has the shape \['1'\]"),
        ("BF16", (1,), b"12", "has the datatype 'BF16', expected one of BOOL, UINT8, .*, BYTES"),
        ("uint8", (1,), b"1", "has the datatype 'uint8'"),
        ("UINT8", (2**40, 2**40), b"1", "has 1 bytes, expected"),
        (BYTES, (1,), b"", "holds 0 whole elements in 0 bytes, expected 1"),
        (BYTES, (1,), b"\1\0\0", "holds 0 whole elements in 3 bytes"),
        (BYTES, (1,), b"\5\0\0\0abc", "holds 0 whole elements in 7 bytes"),
        (BYTES, (1,), b"\xff\xff\xff\xffabc", "holds 0 whole elements in 7 bytes"),
        (BYTES, (1,), b"\1\0\0\0ab", "holds 1 whole elements in 6 bytes"),
        (BYTES, (1,), b"\1\0\0\0a\0\0\0\0", "holds 2 whole elements in 9 bytes, expected 1"),
        (BYTES, (2,), b"\1\0\0\0a", "holds 1 whole elements in 5 bytes, expected 2"),
        (BYTES, (0,), b"\0\0\0\0", "holds 1 whole elements in 4 bytes, expected 0"),
    ],
)
def test_binary_tensors_that_do_not_fit_are_refused(datatype, shape, raw, sentence):
    with pytest.raises(BadRequestError, match=sentence):
        read_raw("x", datatype, shape, raw)


@pytest.mark.parametrize("datatype", NUMBERS)
@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]], ids=["flat", "nested"])
def test_lists_are_read_flat_or_nested(datatype, values):
    tensor = read_values("x", datatype, (2, 3), values)
    assert tensor.values.dtype == DTYPES[datatype] and tensor.values.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_lists_of_truth_values_and_text_are_read():
    assert read_values("x", "BOOL", (2,), [True, False]).values.tolist() == [True, False]
    assert read_values("x", BYTES, (2,), ["a", "ä"]).values.tolist() == [b"a", "ä".encode()]
    assert read_values("x", "FP32", (2,), [1, 2.5]).values.tolist() == [1.0, 2.5]
    assert read_values("x", "UINT8", (0,), []).values.shape == (0,)


@pytest.mark.parametrize(
    ("datatype", "shape", "values", "sentence"),
    [
        ("UINT8", (2,), [1], "has 1 values in its list, expected 2 as its shape says"),
        ("UINT8", (2,), [1, 2, 3], "has more values in its list, expected 2"),
        ("UINT8", (1,), 1, "expected 1 as its shape says"),
        ("UINT8", (1,), None, "expected 1 as its shape says"),
        ("UINT8", (1,), {"a": 1}, "expected 1 as its shape says"),
        ("UINT8", (1,), [256], "holds a value beyond UINT8"),
        ("UINT8", (1,), [-1], "holds a value beyond UINT8"),
        ("INT64", (1,), [2**63], "holds a value beyond INT64"),
        ("UINT8", (1,), [1.0], "holds '1.0', expected values of UINT8"),
        ("UINT8", (1,), [True], "holds 'True', expected values of UINT8"),
        ("UINT8", (1,), [None], "holds 'None', expected values of UINT8"),
        ("UINT8", (1,), ["7"], "holds '7', expected values of UINT8"),
        ("BOOL", (1,), [1], "holds '1', expected values of BOOL"),
        ("FP32", (1,), ["x" * 100], "holds 'x{40}', expected values of FP32"),
        (BYTES, (1,), [7], "is BYTES, expected a list of text; send pictures in binary form"),
        ("X", (1,), [7], "has the datatype 'X'"),
        ("UINT8", (-1,), [7], r"has the shape \[-1\]"),
    ],
)
def test_lists_that_do_not_fit_are_refused(datatype, shape, values, sentence):
    with pytest.raises(BadRequestError, match=sentence):
        read_values("x", datatype, shape, values)


def test_lists_nested_without_end_are_refused():
    values = [1]
    for _ in range(10_000):
        values = [values]
    with pytest.raises(BadRequestError, match="values in its list, expected 1"):
        read_values("x", "UINT8", (1,), values)
