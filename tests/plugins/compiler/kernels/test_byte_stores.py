"""Byte stores of floating-point registers, which ptxas gets wrong, are found in the PTX, and no others."""

import pytest

from spair.plugins.compiler.kernels.byte_stores import find_float_bytes

SUM = "add.f32 \t%r3, %r2, 0f4B400080;"
STORE = "st.shared.b8 \t[%r1+2048], %r3;"


def make_function(*lines, name="k"):
    body = "\n\t".join(lines)
    return (
        f".visible .entry {name}(\n\t.param .u64 .ptr .global .align 1 {name}_param_0\n)\n.reqntid 128\n{{\n"
        f"\t.reg .pred \t%p<2>;\n\t.reg .b32 \t%r<9>;\n$L__func_begin0:\n\t{body}\n\tret;\n}}\n"
    )


def test_the_lowest_byte_of_a_sum_of_floats_is_found():
    ptx = make_function(SUM, "bar.sync \t0;", STORE)
    assert find_float_bytes(ptx) == ["st.shared.b8 [%r1+2048], %r3"]


def test_a_byte_that_an_integer_operation_made_is_none():
    assert find_float_bytes(make_function(SUM, "xor.b32 \t%r4, %r3, 128;", "st.shared.b8 \t[%r1+2048], %r4;")) == []
    assert find_float_bytes(make_function(SUM, "xor.b32 \t%r3, %r3, 128;", STORE)) == []


@pytest.mark.parametrize(
    "line",
    [
        "fma.rn.f32 \t%r3, %r4, %r5, %r6;",
        "max.NaN.f32 \t%r3, %r4, %r5;",
        "mul.f32 \t%r3, %r4, %r5;",
        "div.full.f32 \t%r3, %r4, %r5;",
        "@%p1 add.f32 \t%r3, %r4, %r5;",
        "cvt.f32.f16 \t%r3, %rs1;",
        "cvt.rn.f32.s32 \t%r3, %r4;",
        "ld.global.f32 \t%r3, [%rd1];",
        "@%p1 ld.global.v2.f32 { %r5, %r3 }, [ %rd1 + 0 ];",
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 { %r2, %r3, %r4, %r5 }, { %r6 }, { %r7 }, { %r8 };",
    ],
)
def test_whatever_computes_floats_writes_a_float(line):
    assert len(find_float_bytes(make_function(line, STORE))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "cvt.rni.s32.f32 \t%r3, %r4;",
        "add.s32 \t%r3, %r4, 1;",
        "shr.u32 \t%r3, %r4, 8;",
        "ld.shared.b32 \t%r3, [%r4];",
        "setp.lt.f32 \t%p1, %r3, %r4;",
        "st.global.f32 \t[%rd1], %r3;",
        "mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.s8.s32 { %r3, %r4 }, { %r5 }, { %r6 }, { %r7 };",
    ],
)
def test_what_makes_or_only_reads_integers_writes_none(line):
    assert find_float_bytes(make_function(line, STORE)) == []


@pytest.mark.parametrize(
    ("copy", "store"),
    [
        ("mov.b32 \t%r4, %r3;", "st.shared.b8 \t[%r1], %r4;"),
        ("selp.b32 \t%r4, %r3, %r2, %p1;", "st.global.u8 \t[%rd1], %r4;"),
        ("cvt.u16.u32 \t%rs1, %r3;", "@%p1 st.global.b8 [ %rd1 + 0 ], { %rs1 };"),
        ("mov.b32 \t%r4, %r3;", "st.shared.v4.b8 \t[%r1], {%r5, %r4, %r6, %r7};"),
    ],
)
def test_a_copy_of_a_float_is_one(copy, store):
    assert len(find_float_bytes(make_function(SUM, copy, store))) == 1


def test_only_bytes_and_only_what_is_stored_count():
    assert find_float_bytes(make_function(SUM, "st.shared.b32 \t[%r1], %r3;", "st.shared.b16 \t[%r1], %rs1;")) == []
    assert find_float_bytes(make_function(SUM, "st.shared.b8 \t[%r3], %r4;")) == []


def test_registers_declared_for_floats_count_and_each_function_has_its_own():
    declared = make_function(".reg .f32 \t%f<4>;", "st.shared.b8 \t[%r1], %f2;", name="first")
    assert len(find_float_bytes(declared)) == 1
    assert find_float_bytes(make_function(SUM, name="first") + make_function(STORE, name="second")) == []


def test_comments_are_no_instructions():
    assert find_float_bytes(make_function("add.s32 %r3, %r4, 1; // add.f32 %r3, %r2;", f"// {SUM}", STORE)) == []
