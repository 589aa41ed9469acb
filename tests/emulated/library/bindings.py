"""NVIDIA's real Python bindings on our own libnvinfer.

So conversions, argument names, overloads, None and exceptions, lifetimes and the interpreter's lock are those of the
real package. One set of headers, 10.14's, serves the bindings of TensorRT 10.3 to 11.4 and of TensorRT-RTX 1.7.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from tests.emulated.double.module import make_module
from tests.emulated.double.plan import MAGIC, RTX_MAGIC
from tests.emulated.driver.gpu import EmulatedGPU
from tests.emulated.library.answers import Answers
from tests.emulated.library.building import LIBRARIES
from tests.emulated.setup.bindings_wheel import Release
from tests.emulated.setup.cache import import_from

_ASK = ctypes.CFUNCTYPE(
    ctypes.c_int64,
    ctypes.c_char_p,
    ctypes.c_int64,
    ctypes.c_char_p,
    ctypes.POINTER(ctypes.c_int64),
    ctypes.c_int32,
    ctypes.POINTER(ctypes.c_int64),
)


class Bindings:
    """Loaded package, with the libraries below it.

    A process has one, since it is a C extension.
    """

    def __init__(self, gpu: EmulatedGPU, libraries: Path, wheel: Path, release: Release, **options: Any) -> None:
        """Load the package.

        Args:
            gpu: what it runs on.
            libraries: the folder that `build_libraries` returned.
            wheel: the folder that `find_bindings` returned.
            release: the release in that folder.
            options: fields of the double's `World`.
        """
        names = LIBRARIES[release.flavour]
        loaded = [ctypes.CDLL(str(libraries / name), mode=ctypes.RTLD_GLOBAL) for name in names]
        self._c = loaded[0]
        self._c.double_log.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p]
        self._c.double_report.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float]
        self._callback = _ASK(self._answer)
        ctypes.c_void_p.in_dll(self._c, "double_ask").value = ctypes.cast(self._callback, ctypes.c_void_p).value
        self.module = import_from(wheel, release.package)
        magic = RTX_MAGIC if release.flavour == "rtx" else MAGIC
        double = make_module(gpu, self.module.__version__, magic=magic, **options)
        self.answers = Answers(self._c, double, self.module)

    def _answer(self, method: bytes, own: int, text: bytes, numbers: Any, count: int, out: Any) -> int:
        """Answer C++; a tuple goes to `out`."""
        values = [numbers[index] for index in range(count)]
        answer = self.answers.answer(method.decode(), own, text.decode(), values)
        if not isinstance(answer, tuple):
            return int(answer or 0)
        out[0] = len(answer)
        for index, number in enumerate(answer):
            out[1 + index] = number
        return 0
