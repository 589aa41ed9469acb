"""The report tells code that a library runs from code that only lends it PTX."""

import json

import pytest

from spair.plugins.compiler.assembly.counts import Count
from spair.plugins.compiler.kernels.kernel import Kernel
from spair.plugins.compiler.library.embedding import Label
from spair.plugins.compiler.report import describe_kernel, format_report, resource_report

PTX = ".version 8.5\n.visible .entry k(\n\t.param .u64 k_param_0\n)\n{ mma.sync.aligned.m16n8k16.f32.f16.f16.f32 {}; }"


def make_report(*architectures):
    kernels = [
        Kernel("a.fp16", sm, (64, 32), b"code", PTX, "k", 8, 512, 256, 0, 40, 0, 0, "12.6.85") for sm in architectures
    ]
    fallback = 80 if 80 in architectures else 89
    return resource_report(Label("1.2.3", 7, "test", "x86_64", (89, 120), fallback, (12, 8), (10, 14)), kernels)


@pytest.mark.parametrize(
    ("architectures", "embedded"),
    [((89, 120), ["cubin+ptx", "cubin"]), ((80, 89, 120), ["ptx", "cubin", "cubin"])],
)
def test_what_of_a_kernel_is_embedded_is_told(architectures, embedded):
    report = make_report(*architectures)
    assert [kernel["embedded"] for kernel in report["kernels"]] == embedded
    assert [kernel["sm"] for kernel in report["kernels"]] == list(architectures)
    assert json.loads(json.dumps(report)) == report


def test_numbers_are_those_of_the_kernel():
    entry = make_report(89)["kernels"][0]
    assert (entry["registers"], entry["spills"], entry["shared"], entry["mma"]) == (40, 0, 768, 1)
    assert (entry["tile"], entry["warps"], entry["blocks"]) == ([64, 32], 8, 6)
    assert entry["occupancy"] == 1.0
    assert (entry["warp_instructions_per_pixel"], entry["tensor_share"]) == (None, None)
    assert (entry["ptx_version"], entry["ptxas"], entry["bytes"]) == ("8.5", "12.6.85", 4)


def test_counted_instructions_are_told_rounded():
    kernel = Kernel(
        "a.fp16", 89, (64, 32), b"", PTX, "k", 8, 512, 256, 0, 40, 0, 0, "12.6.85", Count(81.64, 0.2205, 0, 0)
    )
    label = Label("1.2.3", 7, "test", "x86_64", (89,), 89, (12, 8), (10, 14))
    entry = describe_kernel(kernel, label)
    assert (entry["warp_instructions_per_pixel"], entry["tensor_share"]) == (81.6, 0.221)


def test_the_text_has_aligned_columns_and_says_that_nothing_was_timed():
    text = format_report(make_report(80, 89, 120))
    assert "nothing was timed" in text
    assert "machine code for sm_89, sm_120, PTX of sm_80 for later GPUs" in text
    heading, *rows = text.rstrip().splitlines()[-4:]
    assert heading.split()[:4] == ["kernel", "sm", "registers", "spills"]
    assert rows[0].split() == ["a.fp16", "80", "40", "0", "768", "1", "8", "6", "75", "%", "64x32", "ptx"]
    assert len({len(line) for line in (heading, *rows)}) == 1
