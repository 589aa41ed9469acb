"""Nominal peaks and multiprocessors of the plugin targets' GPUs.

No peak counts structured sparsity, which these networks do not have: where a sheet gives the number with it, half of
that is taken. FP16 is the rate with FP32 accumulators, as the kernels have them, where a sheet tells the two apart. A
peak is the rate of the silicon at its boost clock, not a rate that a board's power limit allows for long.

NVIDIA's own documents were out of reach, so each number was compared with quotations by others. Every peak is the
product of multiprocessors, boost clock and operations in a clock, which `tests/benchmarks/subjects/test_gpus.py`
computes. Multiprocessors are a sheet's CUDA cores divided by 128, and the clock is the boost clock of its ordinary
cores, as the same documents have them; those of the H100 (132, 1.98 GHz) and of the B200 (148) are quoted by two
databases of specifications each, which also give the L4 60 multiprocessors where its FP32 peak asks for 58.

Unverified: INT8 of Thor, taken as FP8 (as quoted from NVIDIA's blog); the tensor rates of Orin NX, which has the
multiprocessors of AGX Orin; that L4 multiplies FP16 with FP32 accumulators at the full rate, as the other Ada boards
outside of GeForce do; and the bandwidths, which no other number confirms.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """GPU with its nominal peaks."""

    name: str
    target: str
    """Target of `spair build`."""
    architecture: int
    """Compute capability, 8.7 as 87."""
    multiprocessors: int
    """Multiprocessors, of 128 FP32 cores and four schedulers each."""
    clock: float
    """GHz of the ordinary cores at boost."""
    bandwidth: float
    """GB/s, a GB being 10^9 bytes."""
    fp32: float
    """TFLOPS of the ordinary cores (10^12 operations a second; a multiply-add is two)."""
    fp16: float
    """TFLOPS of the tensor cores."""
    int8: float
    """TOPS of the tensor cores."""

    def cycles_of_products(self, products: float, kind: str) -> float:
        """Compute the least cycles of one multiprocessor for multiply-adds.

        `kind` is the type of the factors.
        """
        rate = {"fp32": self.fp32, "fp16": self.fp16, "int8": self.int8}[kind]
        return 2 * products / (rate * 1e3 / (self.multiprocessors * self.clock))

    def seconds(self, moved: int, products: int, kind: str) -> float:
        """Compute the least seconds for bytes moved and multiply-adds.

        The longer of the two counts. `kind` is the type of the factors.
        """
        rate = {"fp32": self.fp32, "fp16": self.fp16, "int8": self.int8}[kind]
        return max(moved / (self.bandwidth * 1e9), 2 * products / (rate * 1e12))


GPUS = (
    # Jetson Orin NX Series data sheet, 16 GB: 102.4 GB/s, 1024 CUDA and 32 tensor cores at 918 MHz. The peaks follow
    # from the AGX Orin below by cores and clock: 1/2 * 918 / 1300.
    Gpu("Orin NX 16GB", "jetson-orin-jp6", 87, 8, 0.918, 102.4, 1.88, 15.0, 30.0),
    # Jetson AGX Orin Series technical brief, 64 GB: 204.8 GB/s, 2048 CUDA cores at 1.3 GHz, 5.3 FP32 TFLOPS, 170 sparse
    # INT8 TOPS of the GPU alone (275 are with the DLAs, which run no plugins). FP16 is half of INT8.
    Gpu("AGX Orin 64GB", "jetson-orin-jp6", 87, 16, 1.3, 204.8, 5.3, 42.5, 85.0),
    # Jetson Thor data sheet, T5000: 273 GB/s, 2560 CUDA cores at 1.575 GHz (8.1 FP32 TFLOPS), 2070 sparse FP4 TFLOPS.
    # FP8 is a quarter of that without sparsity, INT8 taken as FP8, FP16 half: the ratios of Blackwell's tensor cores.
    Gpu("Thor T5000", "jetson-thor", 110, 20, 1.575, 273.0, 8.1, 258.0, 517.0),
    # L4 data sheet: 300 GB/s, 30.3 FP32 TFLOPS, 242 FP16 TFLOPS and 485 INT8 TOPS, the last two with sparsity.
    Gpu("L4", "l4", 89, 58, 2.04, 300.0, 30.3, 121.0, 242.0),
    # NVIDIA Ada GPU architecture whitepaper, appendix, RTX 6000 Ada: 960 GB/s, 91.1 FP32, 364.2 FP16 with FP32
    # accumulators, 728.5 INT8.
    Gpu("RTX 6000 Ada", "ada", 89, 142, 2.505, 960.0, 91.1, 364.2, 728.5),
    # The same whitepaper, GeForce RTX 4090: 1008 GB/s, 82.6 FP32, 165.2 FP16 with FP32 accumulators, 660.6 INT8.
    Gpu("RTX 4090", "rtx", 89, 128, 2.52, 1008.0, 82.6, 165.2, 660.6),
    # NVIDIA RTX Blackwell GPU architecture whitepaper, appendix, GeForce RTX 5090: 1792 GB/s, 104.8 FP32, 209.5 FP16
    # with FP32 accumulators, 838 INT8.
    Gpu("RTX 5090", "rtx", 120, 170, 2.407, 1792.0, 104.8, 209.5, 838.0),
    # H100 data sheet, SXM: 3.35 TB/s, 67 FP32 TFLOPS, 1979 FP16 TFLOPS and 3958 INT8 TOPS with sparsity.
    Gpu("H100 SXM", "hopper", 90, 132, 1.98, 3350.0, 67.0, 989.5, 1979.0),
    # HGX B200 data sheet, one GPU: 7.7 TB/s, 75 FP32 TFLOPS, 4500 FP16 TFLOPS and 9000 INT8 TOPS with sparsity.
    Gpu("B200", "blackwell", 100, 148, 1.965, 7700.0, 75.0, 2250.0, 4500.0),
)


def find_gpus(names: tuple[str, ...]) -> tuple[Gpu, ...]:
    """List the GPUs of these names in the table's order.

    Without a name all GPUs are listed.
    """
    return tuple(gpu for gpu in GPUS if not names or gpu.name in names)
