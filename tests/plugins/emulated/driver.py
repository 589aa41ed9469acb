"""A plugin library on an emulated CUDA driver: its launches run in Triton's interpreter, on the host's memory.

So the library's own shape logic, choice of kernels, order of arguments, grids, workspace and serialization produce
numbers, without a GPU. What it does not show: that the machine code computes what the interpreter computes.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spair.plugins.compiler.kernels.tiles import Tiling
from spair.plugins.compiler.kernels.variants import Variant, list_variants
from tests.plugins.emulated.tensorrt import KernelImage, read_images
from tests.plugins.kernel_harness import interpreted, pointer

ELEMENTS = {"*fp32": "float32", "*fp16": "float16", "*i8": "int8", "*i32": "int32"}
SCRATCH = 2
"""Pointers that Triton adds to a kernel's parameters."""

_LAUNCH = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    *[ctypes.c_uint] * 5,
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_void_p),
)


class Launch:
    """One launch that a plugin asked for."""

    def __init__(self, image: KernelImage, grid: tuple[int, int, int], stream: int | None) -> None:
        self.variant, self.ptx = image.variant.decode(), bool(image.ptx)
        self.grid, self.stream = grid, stream


class EmulatedDriver:
    """The driver of this process, and the plugin library that uses it. One a process: dlopen finds no second."""

    def __init__(self, fake_cuda: Path, library: Path) -> None:
        self.cuda = ctypes.CDLL(str(fake_cuda), mode=ctypes.RTLD_GLOBAL)
        self.library = ctypes.CDLL(str(library))
        self.launches: list[Launch] = []
        self.problems: list[Exception] = []
        self._images = {image.code: image for image in read_images(self.library)}
        self.built_for = max(image.sm for image in self._images.values() if not image.ptx)
        self._callback = _LAUNCH(self._launch)
        ctypes.c_void_p.in_dll(self.cuda, "fake_launch").value = ctypes.cast(self._callback, ctypes.c_void_p).value

    def set(self, **values: int) -> None:
        """Set variables of the driver: sm, processors, capturing, reject_code, no_context."""
        for name, value in values.items():
            ctypes.c_int.in_dll(self.cuda, f"fake_{name}").value = value

    def get(self, name: str) -> int:
        """A variable of the driver: the above, loads, launches, memsets."""
        return ctypes.c_int.in_dll(self.cuda, f"fake_{name}").value

    def _launch(
        self, code: int, x: int, y: int, z: int, threads: int, shared: int, stream: int | None, parameters: Any
    ) -> int:
        """What cuLaunchKernel does. An exception must not cross C: it is kept, and the launch fails."""
        try:
            image = self._images[code]
            assert threads == 32 * image.warps, "the block is not the one that the kernel was compiled for"
            assert shared == image.shared, "the shared memory is not what the kernel was compiled for"
            variant = _variants(image.sm)[image.variant.decode()]
            self.launches.append(Launch(image, (x, y, z), stream))
            interpret(variant, find_tiling(variant, image), (x, y, z), read_arguments(variant, image, parameters))
        except Exception as problem:
            self.problems.append(problem)
            return 1
        return 0


@functools.cache
def _variants(architecture: int) -> dict[str, Variant]:
    return {variant.name: variant for variant in list_variants(architecture)}


def find_tiling(variant: Variant, image: KernelImage) -> Tiling:
    """The tiling that the image was compiled with: that of the sizes which the table states to the plugins."""
    for tiling in variant.tilings:
        if tiling.warps == image.warps and tiling.sizes == tuple(image.tile)[: len(tiling.sizes)]:
            return tiling
    raise AssertionError(f"{variant.name} has no tiling of sizes {tuple(image.tile)} and {image.warps} warps")


def read_arguments(variant: Variant, image: KernelImage, parameters: Any) -> dict[str, Any]:
    """The arguments that lie where cuLaunchKernel was told, by the kernel's own names and types."""
    assert image.parameters == len(variant.parameters) + SCRATCH
    arguments: dict[str, Any] = {}
    for index, (name, kind) in enumerate(variant.parameters.items()):
        if kind in ELEMENTS:
            address = ctypes.c_uint64.from_address(parameters[index]).value
            assert address, f"{name} is null"
            assert address % variant.aligned[name] == 0, f"{name} is not aligned as the compiled kernel takes it to be"
            arguments[name] = pointer(address, ELEMENTS[kind])
        else:
            of = ctypes.c_int32 if kind == "i32" else ctypes.c_float
            arguments[name] = of.from_address(parameters[index]).value
            divisor = variant.aligned.get(name)
            assert not divisor or arguments[name] % divisor == 0, (
                f"{name} = {arguments[name]}, no multiple of {divisor}"
            )
    for index in range(len(variant.parameters), image.parameters):
        assert ctypes.c_uint64.from_address(parameters[index]).value == 0, "scratch memory is not null"
    return arguments


def interpret(variant: Variant, tiling: Tiling, grid: tuple[int, int, int], arguments: Mapping[str, Any]) -> None:
    """Run the kernel's source with the constants that it was compiled with."""
    kernel = getattr(importlib.import_module(variant.module), variant.function)
    layouts = importlib.import_module("spair.plugins.layouts")
    constants = {
        name: getattr(layouts, value) if isinstance(value, str) else value for name, value in variant.layouts.items()
    } | tiling.constants
    with np.errstate(all="ignore"):
        interpreted(kernel)[grid](**arguments, **constants)
