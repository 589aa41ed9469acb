"""Plugin library on the emulated GPU, whose launches run in Triton's interpreter.

So the library's own shape logic, choice of kernels, order of arguments, grids, workspace and serialization produce
numbers, without a GPU. What it does not show: that the machine code computes what the interpreter computes.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spair.plugins.compiler.kernels.tiles import Tiling
from spair.plugins.compiler.kernels.variants import Layer, Variant, list_variants
from tests.emulated.driver.gpu import USUAL, EmulatedGPU
from tests.plugins.emulated.memory import NON_BLOCKING, DeviceMemory
from tests.plugins.emulated.tensorrt import KernelImage, read_images
from tests.plugins.kernel_harness import interpreted, pointer

ELEMENTS = {"*fp32": "float32", "*fp16": "float16", "*i8": "int8", "*i32": "int32"}
SCRATCH = 2
"""Pointers that Triton adds to a kernel's parameters."""

THREAD_LOCAL = 1
"""Mode of a capture."""


class Launch:
    """One launch that a plugin asked for."""

    def __init__(self, image: KernelImage, grid: tuple[int, int, int], stream: int) -> None:
        self.variant, self.ptx = image.variant.decode(), bool(image.ptx)
        self.grid, self.stream = grid, stream


class Kernels:
    """Kernels of a plugin library, which run in the interpreter on the emulated GPU."""

    def __init__(self, gpu: EmulatedGPU, library: ctypes.CDLL) -> None:
        self.launches: list[Launch] = []
        self._gpu = gpu
        images = read_images(library)
        gpu.kernels.update({image.code: functools.partial(self._bind, image) for image in images})
        self.built_for = max(image.sm for image in images if not image.ptx)

    def _bind(
        self, image: KernelImage, grid: tuple[int, int, int], threads: int, shared: int, stream: int, parameters: Any
    ) -> Callable[[], None]:
        """Read the parameters of a launch, and return its work."""
        assert threads == 32 * image.warps, "the block is not the one that the kernel was compiled for"
        assert shared == image.shared, "the shared memory is not what the kernel was compiled for"
        variant = find_variant(image.variant.decode(), image.sm)
        arguments, tiling = read_arguments(variant, image, parameters), find_tiling(variant, image)
        self.launches.append(Launch(image, grid, stream))
        pointers = [name for name, kind in variant.parameters.items() if kind in ELEMENTS]

        def work() -> None:
            placed = dict(arguments)
            for name in pointers:
                address = self._gpu.resolve(arguments[name], 1, f"{name} of {variant.name}")
                placed[name] = pointer(address, ELEMENTS[variant.parameters[name]])
            interpret(variant, tiling, grid, placed)

        return work


class EmulatedDriver:
    """Plugin library on the emulated GPU, with a context for each kind of device."""

    counts = True

    def __init__(self, gpu: EmulatedGPU, library: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        self.memory = DeviceMemory(gpu)
        self.problems: list[BaseException] = gpu.raised
        self._gpu, self._cuda = gpu, gpu.cuda
        self._kernels = Kernels(gpu, self.library)
        self.launches, self.built_for = self._kernels.launches, self._kernels.built_for
        self._contexts: dict[int, ctypes.c_void_p] = {}
        self._numbers: dict[int, int] = {}
        self._capture = ctypes.c_void_p()

    def start(self) -> None:
        """Begin a test on the device that the library was built for."""
        self._gpu.forget()
        self._gpu.set(**USUAL)
        assert self._cuda.cuInit(0) == 0
        self.launches.clear()
        self._choose(self.built_for)

    def stop(self) -> None:
        """End a test; the process has no device then."""
        self._end_capture()
        self._gpu.forget()
        self._gpu.set(devices=0)

    def set(self, **values: int) -> None:
        """Set variables.

        `sm` chooses a device; `context` numbers the contexts at one place; `no_context` takes the context away;
        `capturing` captures another stream. The others are those of the GPU.
        """
        if "sm" in values:
            self._choose(values.pop("sm"))
        if "context" in values:
            self._number(values.pop("context"))
        if values.pop("no_context", 0):
            self._cuda.cuCtxSetCurrent(None)
        if "capturing" in values:
            self._begin_capture() if values.pop("capturing") else self._end_capture()
        self._gpu.set(**values)

    def get(self, name: str) -> int:
        """Return a variable: capture_mode of this thread, loads, launches, memsets, or one of the GPU."""
        if name != "capture_mode":
            return self._gpu.get(name)
        mode = ctypes.c_int(0)
        self._cuda.cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))
        found = mode.value
        self._cuda.cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))
        return found

    def _choose(self, sm: int) -> None:
        """Make the context of a device current."""
        self._gpu.set(sm=sm)
        if sm not in self._contexts:
            self._contexts[sm] = ctypes.c_void_p()
            assert self._cuda.cuCtxCreate_v2(ctypes.byref(self._contexts[sm]), 0, 0) == 0
            self._cuda.cuCtxPopCurrent_v2(None)
        self._cuda.cuCtxSetCurrent(self._contexts[sm])
        self.memory.open_stream()

    def _number(self, number: int) -> None:
        """Let another context lie at the same place, unless it has this number already."""
        sm = self._gpu.get("sm")
        if self._numbers.get(sm, 0) != number:
            self._numbers[sm] = number
            self._cuda.emu_renew(self._contexts[sm])

    def _begin_capture(self) -> None:
        self._cuda.cuStreamCreate(ctypes.byref(self._capture), NON_BLOCKING)
        assert self._cuda.cuStreamBeginCapture_v2(self._capture, THREAD_LOCAL) == 0

    def _end_capture(self) -> None:
        if self._capture:
            graph = ctypes.c_void_p()
            self._cuda.cuStreamEndCapture(self._capture, ctypes.byref(graph))
            self._cuda.cuGraphDestroy(graph)
            self._cuda.cuStreamDestroy_v2(self._capture)
            self._capture = ctypes.c_void_p()


@functools.cache
def find_variant(name: str, architecture: int) -> Variant:
    """The variant of a name, for whichever layer it may be."""
    function, *parts = name.split(".")
    layers = []
    if function == "convolve_layer":
        joined = sum(int(part[1:]) for part in parts[6:] if part.startswith("j"))
        gives = next((part.removeprefix("to_") for part in parts[6:] if part.startswith("to_")), "float")
        sizes = (int(part[1:]) for part in parts[3:6])
        layers = [Layer(*parts[:3], *sizes, coarse="up" in parts, joined=joined, gives=gives)]
    elif function == "compact_neighbours":
        layers = [Layer(parts[0], parts[0], parts[0], int(parts[1][1:]), 1, 1)]
    return {variant.name: variant for variant in list_variants(architecture, layers, alternatives=True)}[name]


def find_tiling(variant: Variant, image: KernelImage) -> Tiling:
    """The tiling that the image was compiled with: that of the sizes which the table states to the plugins."""
    for tiling in variant.tilings:
        if tiling.warps == image.warps and tiling.sizes == tuple(image.tile)[: len(tiling.sizes)]:
            return tiling
    raise AssertionError(f"{variant.name} has no tiling of sizes {tuple(image.tile)} and {image.warps} warps")


def read_arguments(variant: Variant, image: KernelImage, parameters: Any) -> dict[str, Any]:
    """Return the arguments that lie where cuLaunchKernel was told, by the kernel's own names; pointers as addresses."""
    assert image.parameters == len(variant.parameters) + SCRATCH
    arguments: dict[str, Any] = {}
    for index, (name, kind) in enumerate(variant.parameters.items()):
        if kind in ELEMENTS:
            address = ctypes.c_uint64.from_address(parameters[index]).value
            assert address, f"{name} is null"
            assert address % variant.aligned[name] == 0, f"{name} is not aligned as the compiled kernel takes it to be"
            arguments[name] = address
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
