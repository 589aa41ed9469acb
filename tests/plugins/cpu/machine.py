"""Processors that the kernels are tested on: this one with each of its instruction sets, and ARM's under QEMU.

A test lays all arrays out in one block of memory. A kernel of this processor is called where the block is; for ARM, a
program runs under QEMU that loads the block, puts its own addresses into the structure, and writes the block back.
"""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from spair.runtime.cpu.library import Library, load_library
from spair.runtime.cpu.library.compiling import FLAGS, KERNELS, SHARED, SOURCES, build_library, find_compiler
from spair.runtime.cpu.library.sets import AMX, AVX2, AVX512_BF16, AVX_VNNI, NEON, NEON_BF16, InstructionSet, list_sets
from spair.runtime.cpu.library.structures import Packing
from spair.runtime.errors import UserError
from tests.sharing import share

CROSS = "aarch64-linux-gnu-g++"
HARNESS = Path(__file__).parent / "harness.cpp"
SIZE = 1 << 21
"""Bytes of the block."""


def load_or_skip(name: str) -> Library:
    """Load the kernels of one instruction set."""
    if find_compiler() is None:
        pytest.skip("a C++ compiler is not installed")
    try:
        return load_library(name)
    except UserError as error:
        if "runs none of" not in str(error):
            raise
        pytest.skip(f"this processor does not run {name}")


@pytest.fixture(params=[one.name for one in list_sets()])
def library(request) -> Library:
    """The kernels, with each instruction set that this processor runs."""
    return load_or_skip(request.param)


class Memory:
    """Block that holds all arrays of a test; what was not written is NaN or large."""

    def __init__(self) -> None:
        self.block = np.full(SIZE, 0xFF, np.uint8)  # float32 NaN, and -1
        self._end = 0

    def empty(self, shape, dtype=np.float32) -> np.ndarray:
        """Return an array at a cache line, with free bytes behind it that hold zeros."""
        self._end += -(self.block.ctypes.data + self._end) % 64
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        assert self._end + size + 64 <= SIZE, "the test needs a larger block"
        view = self.block[self._end : self._end + size].view(dtype).reshape(shape)
        self.block[self._end + size : self._end + size + 64] = 0
        self._end += size + 64
        return view

    def put(self, values, dtype=np.float32) -> np.ndarray:
        """Copy an array into the block."""
        values = np.asarray(values, dtype)
        array = self.empty(values.shape, dtype)
        array[...] = values
        return array


def make_call(*arguments) -> ctypes.Structure:
    """Make a structure of arrays and whole numbers, for functions that take those one by one."""
    kinds = [ctypes.c_void_p if isinstance(one, np.ndarray) else ctypes.c_int64 for one in arguments]
    kind = type("Arguments", (ctypes.Structure,), {"_fields_": [(f"a{i}", one) for i, one in enumerate(kinds)]})
    return kind(*(one.ctypes.data if isinstance(one, np.ndarray) else one for one in arguments))


class Here:
    """This processor with one instruction set."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._pool = self._library.open_pool(2)
        self.lanes, self.types, self.zero_step = self._library.lanes, self._library.types, self._library.zero_step
        self.groups = {kind: 4 // np.dtype(self.types[kind]).itemsize for kind in self.types}

    def run(self, name: str, memory: Memory, call: ctypes.Structure) -> int:
        if type(call).__name__ != "Arguments":
            return self._library.call(name, self._pool, call)
        values = [getattr(call, field) for field, _ in call._fields_]
        return getattr(self._library, name)(self._pool.handle, *values) or 0

    def close(self) -> None:
        self._pool.close()


class Emulated:
    """ARM under QEMU."""

    lanes = 4

    def __init__(self, program: Path, folder: Path, *, dot: bool) -> None:
        self._program, self._file = program, folder / "call"
        self.zero_step = 0
        self.types = {"f32": np.float32, "i8": np.int8 if dot else np.int16, "bf16": np.uint16}
        self.groups = {"f32": 1, "i8": 4 if dot else 2, "bf16": 2}

    def run(self, name: str, memory: Memory, call: ctypes.Structure) -> int:
        places = list(_pointers(type(call), 0))
        header = struct.pack(
            f"<4Q{len(places)}Q", memory.block.ctypes.data, ctypes.sizeof(call), len(places), 0, *places
        )
        self._file.write_bytes(header + bytes(call) + memory.block.tobytes())
        command = ["qemu-aarch64", str(self._program), name, str(self._file)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        content = self._file.read_bytes()
        memory.block[:] = np.frombuffer(content, np.uint8)[-SIZE:]
        return struct.unpack_from("<q", content, 24)[0]

    def close(self) -> None:
        self._file.unlink(missing_ok=True)


def _pointers(kind, start):
    """Yield the place of each pointer in a structure."""
    for name, field in kind._fields_:
        place = start + getattr(kind, name).offset
        if field is ctypes.c_void_p:
            yield place
        elif issubclass(field, ctypes.Structure):
            yield from _pointers(field, place)


def compile_for_arm(factory: pytest.TempPathFactory, one: InstructionSet) -> Path:
    """Compile the harness with the kernels of an instruction set of ARM, once a run."""
    for tool in (CROSS, "qemu-aarch64"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed; on Debian: apt-get install g++-aarch64-linux-gnu qemu-user")
    sources = [str(SOURCES / KERNELS), str(SOURCES / SHARED), str(HARNESS)]
    # -O1 takes less time, and gives the same results
    flags = [*FLAGS, "-O1", *one.flags, f"-DSPAIR_SET={one.name}", "-DSPAIR_STATIC", f"-I{SOURCES}"]

    def compile_into(folder: Path) -> None:
        subprocess.run([CROSS, *flags, "-static", *sources, "-o", str(folder / "harness")], check=True)

    return share(factory, one.name, compile_into) / "harness"


@pytest.fixture(scope="session")
def arm_program(tmp_path_factory) -> Path:
    """The harness with the kernels of every ARM processor."""
    return compile_for_arm(tmp_path_factory, NEON)


@pytest.fixture(scope="session")
def new_arm_program(tmp_path_factory) -> Path:
    """The harness with the kernels of an ARM processor with instructions for int8 and bfloat16."""
    return compile_for_arm(tmp_path_factory, NEON_BF16)


@pytest.fixture(scope="session")
def vnni_library(tmp_path_factory) -> Library:
    """The kernels for AVX2 with VNNI, whose instruction is written in C++."""
    flags = (*AVX2.flags, "-include", str(HARNESS.parent / "vnni.h"))
    return build_written_out(tmp_path_factory, InstructionSet(AVX2.name, AVX_VNNI.title, flags))


@pytest.fixture(scope="session")
def tiles_library(tmp_path_factory) -> Library:
    """The kernels for AMX, whose instructions are written in C++."""
    flags = (*AVX512_BF16.flags, "-DSPAIR_TILES_IN_CPP")
    return build_written_out(tmp_path_factory, InstructionSet(AVX512_BF16.name, AMX.title, flags))


def build_written_out(factory: pytest.TempPathFactory, one: InstructionSet) -> Library:
    """Build the kernels of a set under the name of an older one, once a run."""
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("a C++ compiler is not installed")
    load_or_skip(one.name)
    # -O1 takes less time, and gives the same results
    folder = share(
        factory, one.title, lambda folder: build_library(compiler, [one], folder / "kernels.so", flags=["-O1"])
    )
    return Library(folder / "kernels.so", [one])


def open_processor(name: str, request, folder: Path) -> Here | Emulated:
    """Open a processor by the name of its instruction set."""
    if name == VNNI:
        return Here(request.getfixturevalue("vnni_library"))
    if name == TILES:
        return Here(request.getfixturevalue("tiles_library"))
    if name == "neon under QEMU":
        return Emulated(request.getfixturevalue("arm_program"), folder, dot=False)
    if name == "neonbf16 under QEMU":
        return Emulated(request.getfixturevalue("new_arm_program"), folder, dot=True)
    return Here(load_or_skip(name))


VNNI, TILES = "avxvnni in C++", "amx in C++"
SETS = [one.name for one in list_sets()]
FLOAT_SETS = [name for name in SETS if not name.endswith(("amx", "vnni", "bf16", "dot"))]
"""Sets that differ in what they do to float32."""


@pytest.fixture(params=[*FLOAT_SETS, "neon under QEMU"])
def processor(request, tmp_path):
    """Each processor in turn."""
    found = open_processor(request.param, request, tmp_path)
    yield found
    found.close()


@pytest.fixture(params=[*SETS, VNNI, TILES, "neon under QEMU", "neonbf16 under QEMU"])
def rounding_processor(request, tmp_path):
    """Each processor in turn, those that have instructions for int8 and bfloat16 too."""
    found = open_processor(request.param, request, tmp_path)
    yield found
    found.close()


@pytest.fixture
def memory() -> Memory:
    return Memory()


def pack_words(processor, memory: Memory, weight: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Pack weights [taps, inputs, outputs] on a processor; return the words and what zero adds to the sums."""
    taps, inputs, outputs = weight.shape
    wide = -(-outputs // processor.lanes) * processor.lanes
    packed = memory.empty(max(taps * -(-inputs // processor.groups[kind]) * wide, 1), np.int32)
    above = memory.empty((taps, wide), np.int32)
    call = Packing(memory.put(weight, weight.dtype).ctypes.data, packed.ctypes.data)
    call.above = above.ctypes.data if kind == "i8" else None
    call.taps, call.inputs, call.outputs = taps, inputs, outputs
    processor.run(f"pack_{kind}", memory, call)
    return packed, above


def pack(processor, memory: Memory, weight: np.ndarray) -> np.ndarray:
    """Pack float32 weights [inputs, outputs] on a processor."""
    return pack_words(processor, memory, np.asarray(weight, np.float32)[None], "f32")[0]
