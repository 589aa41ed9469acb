"""Errors of the driver are sorted by their numbers and by their words."""

import pytest

from spair.runtime.cuda.errors import FATAL, CudaError


@pytest.mark.parametrize("code", [*FATAL, 1, 2, 201, 400, 900, 901, 906])
def test_by_numbers(code):
    error = CudaError("some words", code)
    assert (error.fatal, error.out_of_memory) == (code in FATAL, code == 2)


@pytest.mark.parametrize(
    ("words", "fatal", "memory"),
    [
        ("cuMemAlloc failed: out of memory", False, True),
        ("cuStreamSynchronize failed: an illegal memory access was encountered", True, False),
        ("cuStreamSynchronize failed: unspecified launch failure", True, False),
        ("cuEventSynchronize failed: misaligned address", True, False),
        ("cuLaunchKernel failed: the launch timed out and was terminated", True, False),
        ("cuMemcpy failed: uncorrectable ECC error encountered", True, False),
        ("cuStreamEndCapture failed: unknown error", True, False),
        ("cuCtxPushCurrent failed: invalid device context", False, False),
        ("cuGraphLaunch failed: operation not permitted when stream is capturing", False, False),
    ],
)
def test_by_words(words, fatal, memory):
    error = CudaError(words)
    assert (error.fatal, error.out_of_memory) == (fatal, memory)


def test_doors_find_their_codes():
    assert (CudaError("words").exit_code, CudaError("words").http_status) == (1, 500)
