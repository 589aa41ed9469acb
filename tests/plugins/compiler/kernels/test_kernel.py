"""What is read from a compiled kernel, and the rules it is held to."""

import dataclasses

import pytest

from spair.plugins.compiler.assembly.counts import Count
from spair.plugins.compiler.kernels.kernel import Kernel, find_violations, read_resources
from spair.plugins.compiler.kernels.variants import Layer, list_variants

LOG = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'sparse_conv2d' for 'sm_87'
ptxas info    : Function properties for sparse_conv2d
    {stack} bytes stack frame, {stores} bytes spill stores, {loads} bytes spill loads
ptxas info    : Used 107 registers, used 1 barriers, {shared}440 bytes cmem[0]
"""
HALF = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 { %r1 };"
BYTE = "mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.s8.s32 { %r1 };"
VARIANTS = {variant.name: variant for variant in list_variants(87)}
VARIANT = VARIANTS["sparse_conv2d.fp16.fp16.fp16.pixels.pixels"]


def make_ptx(body, *, version="8.5", parameters=31):
    listed = ",\n".join(f"\t.param .u64 .ptr .global .align 1 k_param_{index}" for index in range(parameters))
    return (
        f".version {version}\n.target sm_87\n.visible .entry k(\n{listed}\n)\n.reqntid 128\n{{\n\t{body}\n\tret;\n}}\n"
    )


def make_kernel(**changes):
    kernel = Kernel(
        name=VARIANT.name, architecture=87, tile=(64, 64, 32), code=b"", ptx=make_ptx(HALF), symbol="k", warps=4,
        shared=20480, static_shared=0, scratch=0, registers=128, spills=0, stack=0, cuda="12.6.85",
    )  # fmt: skip
    return dataclasses.replace(kernel, **changes)


def test_resources_are_read_from_the_report_of_ptxas():
    log = LOG.format(stack=16, stores=8, loads=24, shared="")
    assert read_resources(log) == {"registers": 107, "spills": 32, "stack": 16, "static_shared": 0}


def test_static_shared_memory_is_read_too():
    log = LOG.format(stack=0, stores=0, loads=0, shared="4096 bytes smem, ")
    assert read_resources(log)["static_shared"] == 4096


@pytest.mark.parametrize(
    "log", ["", "ptxas info : Used 3 registers", "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"]
)
def test_another_text_is_no_report(log):
    with pytest.raises(ValueError, match="expected the report of ptxas -v"):
        read_resources(log)


@pytest.mark.parametrize(
    ("body", "fp16", "int8"),
    [
        (HALF, 1, 0),
        (BYTE, 0, 1),
        (f"{HALF}\n{BYTE}\n{HALF}", 2, 1),
        ("wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {%r0};", 1, 0),
        ("wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8 {%r0};", 0, 1),
        ("@%p1 tcgen05.mma.cta_group::1.kind::f16 [%r1], %rd1;", 1, 0),
        ("@%p1 tcgen05.mma.cta_group::1.kind::i8 [%r1], %rd1;", 0, 1),
        ("fma.rn.f32 %f1, %f2, %f3, %f4;\nwgmma.fence.sync.aligned;\ntcgen05.wait::ld.sync.aligned;", 0, 0),
    ],
)
def test_tensor_instructions_are_told_apart_by_type(body, fp16, int8):
    kernel = make_kernel(ptx=make_ptx(body))
    assert (kernel.tensor_instructions("fp16"), kernel.tensor_instructions("int8")) == (fp16, int8)
    assert kernel.tensor_instructions() == fp16 + int8


def test_version_and_parameters_are_read_from_the_ptx():
    kernel = make_kernel(ptx=make_ptx(HALF, version="8.10", parameters=5))
    assert (kernel.ptx_version, kernel.parameters) == ((8, 10), 5)


def test_a_kernel_that_keeps_the_rules_has_no_violation():
    assert find_violations(make_kernel(), VARIANT, (8, 5)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"spills": 8}, "spills 8 bytes of registers to 0 bytes of stack"),
        ({"stack": 16}, "spills 0 bytes of registers to 16 bytes of stack"),
        ({"scratch": 128}, "wants 128 bytes of global memory"),
        ({"ptx": make_ptx("")}, "has no tensor-core instruction for fp16"),
        ({"ptx": make_ptx(BYTE)}, "has no tensor-core instruction for fp16"),
        ({"shared": 200 * 1024}, "does not fit: 128 registers × 128 threads, 204800 bytes of shared memory of 166912"),
        ({"registers": 255, "warps": 16}, "does not fit: 255 registers × 512 threads"),
        ({"ptx": make_ptx(HALF, parameters=34)}, "takes 34 parameters, the plugins pass 31"),
        ({"ptx": make_ptx(HALF, parameters=28)}, "takes 28 parameters, the plugins pass 31"),
        ({"ptx": make_ptx(HALF, version="8.6")}, "has PTX 8.6, the drivers read up to 8.5"),
    ],
)
def test_each_rule_is_told_in_words(changes, words):
    (problem,) = find_violations(make_kernel(**changes), VARIANT, (8, 5))
    assert problem.startswith(words)


def test_a_kernel_without_products_needs_no_tensor_cores():
    variant = VARIANTS["combine_scales"]
    assert find_violations(make_kernel(ptx=make_ptx("", parameters=6)), variant, (8, 5)) == []


def test_occupancy_counts_all_shared_memory():
    kernel = make_kernel(shared=40 * 1024, static_shared=20 * 1024)
    assert kernel.blocks == 2
    assert kernel.occupancy == pytest.approx(8 / 48)


def judge_layer(layer, architecture, **counted):
    """List the rules that a layer's kernel with these counts breaks."""
    (variant,) = (one for one in list_variants(architecture, [layer]) if one.function == "convolve_layer")
    count = Count(**{"per_pixel": 50.0, "tensor_share": 0.1, "conversions": 0, "loads": 0, **counted})
    body = BYTE if layer.weight == "int8" else HALF
    kernel = make_kernel(
        name=variant.name, architecture=architecture, count=count, ptx=make_ptx(body, parameters=20)
    )  # fmt: skip
    return find_violations(kernel, variant, (8, 5))


HALVES, BYTES = Layer("fp16", "fp16", "fp16", 3, 64, 64), Layer("int8", "int8", "fp16", 3, 64, 64)


@pytest.mark.parametrize(
    ("layer", "architecture", "most"),
    [
        (HALVES, 90, 75),
        (HALVES, 87, 105),
        (BYTES, 90, 60),
        (BYTES, 80, 60),
        (dataclasses.replace(BYTES, gives="int8"), 87, 70),
        (dataclasses.replace(BYTES, gives="both"), 90, 75),
    ],
)
def test_the_usual_layer_has_a_bound_of_instructions(layer, architecture, most):
    assert judge_layer(layer, architecture, per_pixel=float(most)) == []
    (problem,) = judge_layer(layer, architecture, per_pixel=most + 0.1)
    assert problem == f"issues {most + 0.1:.1f} instructions of warps for an active pixel, expected at most {most}"


@pytest.mark.parametrize("counted", [{"conversions": 1}, {"loads": 1}])
def test_what_waits_in_the_main_loop_of_a_layer_is_refused(counted):
    (problem,) = judge_layer(Layer("fp16", "fp16", "fp16", 3, 48, 48), 87, **counted)
    assert "divisions or conversions and" in problem and "loads that wait in its main loop" in problem
    assert judge_layer(Layer("fp16", "int8", "fp16", 3, 48, 48), 87, **counted) == [], "which quantizes what it reads"


def test_what_was_not_counted_is_not_refused():
    kernel = make_kernel(count=None)
    assert find_violations(kernel, VARIANT, (8, 5)) == []
