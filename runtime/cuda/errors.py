"""Error of the CUDA driver."""

from __future__ import annotations

import re

OUT_OF_MEMORY = 2
"""Number of CUDA_ERROR_OUT_OF_MEMORY."""

FATAL = {
    214: "ECC error",
    220: "NVLink error",
    226: "contained memory error",
    700: "illegal memory access",
    702: "launch timed out",
    709: "context is destroyed",
    710: "device-side assert",
    714: "hardware stack error",
    715: "illegal instruction",
    716: "misaligned address",
    717: "operation not supported on global/shared address space",
    718: "invalid program counter",
    719: "launch failure",
    721: "cluster target block not present",
    999: "unknown error",
}
"""Errors after which the driver refuses all further work of the process, by their numbers in cuda.h: words that the
driver's own sentence about them contains."""

_FATAL_WORDS = re.compile("|".join(map(re.escape, FATAL.values())), re.IGNORECASE)


class CudaError(RuntimeError):
    """Refusal by the CUDA driver."""

    exit_code = 1
    http_status = 500

    def __init__(self, message: str, code: int | None = None) -> None:
        """Take the driver's words.

        Args:
            message: what failed, in the driver's words.
            code: number of the error in cuda.h; None where only the words are known, as from pycuda.
        """
        super().__init__(message)
        self.fatal = code in FATAL if code is not None else bool(_FATAL_WORDS.search(message))
        """Whether nothing works any more in this process, which has to be started again."""
        self.out_of_memory = code == OUT_OF_MEMORY if code is not None else "out of memory" in message
        """Whether the GPU had too little free memory."""
