"""Kernels are compiled for the target's architectures and driver, cached by content, and held to the rules."""

from __future__ import annotations

import dataclasses
import importlib
import re

import pytest

from spair.plugins.compiler.cache import Cache
from spair.plugins.compiler.kernels.byte_stores import find_float_bytes
from spair.plugins.compiler.kernels.compilation import RuleError, Settings, compile_target
from spair.plugins.compiler.kernels.tiles import Tiling
from spair.plugins.compiler.kernels.variants import Variant, list_variants
from spair.plugins.compiler.kernels.workers import Workers
from spair.plugins.compiler.targets import ARCHITECTURES, Target, find_target
from spair.plugins.errors import PluginError

pytest.importorskip("triton", reason="Triton compiles the kernels")

KERNELS = """
import os
import triton
import triton.language as tl

@triton.jit
def double(p_x, p_out, count, BLOCK: tl.constexpr):
    o_x = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + o_x, 2 * tl.load(p_x + o_x, mask=o_x < count, other=0), mask=o_x < count)

@triton.jit
def multiply(p_x, p_out, count, BLOCK: tl.constexpr):
    o_x = tl.arange(0, BLOCK)
    offsets = o_x[:, None] * BLOCK + o_x[None, :]
    x = tl.load(p_x + offsets)
    tl.store(p_out + offsets, tl.dot(x, x, input_precision="ieee").to(x.dtype))

@triton.jit
def crowd(p_x, p_out, count, BLOCK: tl.constexpr):
    o_x = tl.arange(0, BLOCK)
    offsets = o_x[:, None] * BLOCK + o_x[None, :]
    x = tl.load(p_x + offsets)
    once, twice = tl.dot(x, x), tl.dot(x + x, x)  # both are needed at the end: 2 × BLOCK² sums in registers
    tl.store(p_out + offsets, (once * tl.sum(twice) + twice * tl.sum(once)).to(x.dtype))

@triton.jit
def wrong(p_x, p_out, count, BLOCK: tl.constexpr):
    tl.store(p_out + tl.arange(0, BLOCK), tl.load(p_x + tl.arange(0, 2 * BLOCK)))

@triton.jit
def lowest_byte(p_x, p_out, count, BLOCK: tl.constexpr):
    o_x = tl.arange(0, BLOCK)
    rounded = tl.load(p_x + o_x).to(tl.float32) + 12582912.0
    tl.store(p_out + o_x * 3, rounded.to(tl.int32, bitcast=True).to(tl.int8))

@triton.jit
def changed_byte(p_x, p_out, count, BLOCK: tl.constexpr):
    o_x = tl.arange(0, BLOCK)
    rounded = tl.load(p_x + o_x).to(tl.float32) + 12583040.0
    tl.store(p_out + o_x * 3, (rounded.to(tl.int32, bitcast=True) ^ 128).to(tl.int8))
"""
LAYOUTS = ("linear", "pixels")
JP6 = find_target("jetson-orin-jp6")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module with kernels, which the compiler's processes find."""
    path = tmp_path / "kernels_of_a_test.py"
    path.write_text(KERNELS)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return path


@pytest.fixture
def settings(tmp_path):
    return Settings(1, Cache(tmp_path / "cache"))


def make_variant(function="double", *blocks, warps=4, tensor_cores=None, stem="kernels_of_a_test"):
    parameters = {"p_x": "*fp16", "p_out": "*fp16", "count": "i32"}
    tilings = tuple(Tiling(("BLOCK",), (block,), warps) for block in blocks or (256,))
    return Variant(f"{function}.test", stem, function, parameters, {}, tilings, tensor_cores)


def compile_one(variant, settings, target=JP6):
    return compile_target(target, settings, variants=lambda architecture: [variant])


def test_machine_code_is_for_the_architecture_and_ptx_for_its_driver(module, settings):
    (kernel,) = compile_one(make_variant(), settings)
    assert kernel.code.startswith(b"\x7fELF")
    assert int.from_bytes(kernel.code[18:20], "little") == 190, "the ELF machine EM_CUDA"
    assert ".target sm_87" in kernel.ptx
    assert (kernel.ptx_version, kernel.cuda.rpartition(".")[0]) == ((8, 5), "12.6")
    assert (kernel.symbol, kernel.tile, kernel.warps, kernel.spills) == ("double", (256,), 4, 0)
    assert 3 <= kernel.parameters <= 5
    assert str(module.parent).encode() not in kernel.code + kernel.ptx.encode(), "no path of this machine"


def test_every_architecture_and_the_fallback_are_compiled(module, settings):
    target = Target("two", "", (89, 120), 80, (12, 8), "x86_64", (10, 8), (2, 35))
    kernels = compile_one(make_variant(), settings, target)
    assert [kernel.architecture for kernel in kernels] == [80, 89, 120]
    assert [kernel.ptx.split(".target ")[1].split()[0] for kernel in kernels] == ["sm_80", "sm_89", "sm_120a"]
    assert all(kernel.ptx_version <= (8, 7) for kernel in kernels)


def test_the_cache_is_used_and_the_result_the_same(module, settings, monkeypatch):
    first = compile_one(make_variant(), settings)
    monkeypatch.setattr(Workers, "run", lambda self, job: pytest.fail("compiled again"))
    assert compile_one(make_variant(), settings) == first


def test_a_changed_source_tile_or_driver_is_compiled_again(module, settings, monkeypatch):
    compile_one(make_variant(), settings)
    compiled = []
    run = Workers.run
    monkeypatch.setattr(Workers, "run", lambda self, job: compiled.append(job["function"]) or run(self, job))
    compile_one(make_variant("double", 512), settings)
    compile_one(make_variant(), settings, dataclasses.replace(JP6, cuda=(12, 4)))
    module.write_text(KERNELS.replace("2 * tl.load", "4 * tl.load"))
    (kernel,) = compile_one(make_variant(), settings)
    assert compiled == ["double"] * 3
    compile_one(make_variant(), settings)
    assert compiled == ["double"] * 3
    assert kernel.ptx != compile_one(make_variant("double", 512), settings)[0].ptx


def test_the_first_tiling_that_keeps_the_rules_is_taken(module, settings):
    (kernel,) = compile_one(make_variant("crowd", 64, 32, 16, warps=1), settings)
    assert (kernel.tile, kernel.spills) == ((32,), 0), "2 × 64 × 64 sums do not fit the registers of one warp"


def test_a_spilling_kernel_fails_and_says_how_to_mend_it(module, settings):
    words = r"crowd\.test for sm_87 with the tile 64 spills \d+ bytes .*; give it a smaller one in plugins/compiler"
    with pytest.raises(RuleError, match=words):
        compile_one(make_variant("crowd", 64, warps=1), settings)


def test_an_optional_kernel_that_breaks_a_rule_is_left_out(module, settings):
    told = []
    spilling = dataclasses.replace(make_variant("crowd", 64, warps=1), name="crowd.other", optional=True)
    fine = dataclasses.replace(make_variant(), optional=True)
    kernels = compile_target(JP6, settings, variants=lambda sm: [spilling, fine], progress=told.append)
    assert [kernel.name for kernel in kernels] == [fine.name]
    assert told[0].startswith("compiling kernels 1/2") and told[1].startswith("compiling kernels 2/2")


def test_later_gpus_get_no_optional_kernels_as_ptx(module, settings):
    target = dataclasses.replace(JP6, fallback=80)
    optional = dataclasses.replace(make_variant(), name="double.other", optional=True)
    kernels = compile_target(target, settings, variants=lambda sm: [make_variant(), optional])
    assert [(kernel.name, kernel.architecture) for kernel in kernels] == [
        ("double.test", 80), ("double.test", 87), ("double.other", 87),
    ]  # fmt: skip


def test_a_product_without_tensor_cores_fails(module, settings):
    with pytest.raises(RuleError, match="has no tensor-core instruction for int8"):
        compile_one(make_variant("multiply", 32, tensor_cores="int8"), settings)


def test_the_byte_of_a_float_that_ptxas_would_convert_fails(module, settings):
    kinds = {"parameters": {"p_x": "*fp16", "p_out": "*i8", "count": "i32"}}
    words = r"kernel lowest_byte\.test for sm_87 stores bytes of floating-point numbers \(2, the first by st\.global"
    with pytest.raises(RuleError, match=words) as caught:
        compile_one(dataclasses.replace(make_variant("lowest_byte"), **kinds), settings)
    assert "\n" not in str(caught.value)
    compile_one(dataclasses.replace(make_variant("changed_byte"), **kinds), settings)


@pytest.mark.parametrize(
    "name", [f"sparse_conv2d.{kind}.int8.{kind}.{layout}.{layout}" for kind in ("fp16", "fp32") for layout in LAYOUTS]
)
def test_the_kernels_that_quantize_what_they_gather_store_bytes_of_integers(kernel_settings, name):
    (variant,) = (each for each in list_variants(87) if each.name == name)
    (kernel,) = compile_one(variant, kernel_settings)
    assert find_float_bytes(kernel.ptx) == []
    assert bool(re.search(r"\bst\.shared\.b8\b", kernel.ptx)) == ("linear" in name), "what the check has to look at"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"function": "wrong"}, "cannot compile wrong for sm_87: .*CompilationError"),
        ({"function": "absent"}, "cannot compile absent for sm_87: AttributeError: .*absent"),
        (
            {"parameters": {"p_x": "*fp16", "count": "i32"}},
            "cannot compile double .*takes p_x, p_out, count, BLOCK, not",
        ),
    ],
)
def test_a_kernel_that_does_not_compile_is_told_in_one_sentence(module, settings, change, words):
    with pytest.raises(PluginError, match=words) as caught:
        compile_one(dataclasses.replace(make_variant(), **change), settings)
    assert "\n" not in str(caught.value)


def test_a_compiler_that_ends_its_process_is_told(module, settings):
    module.write_text(KERNELS + "\nos.write(2, b'PTX version 8.5 is too old')\nos._exit(3)\n")
    with pytest.raises(PluginError, match="ended Triton's process: exit code 3, PTX version 8.5 is too old"):
        compile_one(make_variant(), settings)


def test_kernels_that_are_not_installed_are_told(settings):
    with pytest.raises(PluginError, match="the kernels of no_such_module_at_all are missing; install spair-rt again"):
        compile_one(make_variant(stem="no_such_module_at_all"), settings)


def test_tritons_interpreter_and_settings_of_the_user_do_not_matter(module, settings, monkeypatch):
    (plain,) = compile_one(make_variant(), Settings())
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setenv("TRITON_PTXAS_PATH", "/nowhere")
    (kernel,) = compile_one(make_variant(), Settings())
    assert kernel == plain


HEAVY = (
    "sparse_conv2d.fp16.fp16.fp16.pixels.pixels",
    "sparse_conv2d.int8.int8.fp16.chw32.pixels",
    "sparse_conv2d.fp16.int8.fp16.pixels.pixels",
    "sparse_non_local.fp16.linear.b128",
)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_most_demanding_kernels_keep_the_rules_on_every_architecture(kernel_settings, architecture):
    cuda = (13, 0) if architecture == 110 else (12, 8)
    target = Target("one", "", (architecture,), min(architecture, 89), cuda, "x86_64", (10, 8), (2, 35))
    chosen = [variant for variant in list_variants(architecture) if variant.name in HEAVY]
    own = dataclasses.replace(target, fallback=87) if architecture >= 90 else target
    kernels = compile_target(own, kernel_settings, variants=lambda sm: chosen if sm == architecture else [])
    assert [kernel.name for kernel in kernels] == list(HEAVY)
    for kernel in kernels:
        assert (kernel.spills, kernel.stack) == (0, 0)
        assert kernel.tensor_instructions("int8" if "int8" in kernel.name else "fp16") > 0
        assert 0 < kernel.occupancy <= 1
        assert kernel.registers <= 255
