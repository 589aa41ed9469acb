"""Two-stage network on the kernels of the processor."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from ..clock import StageClock
from ..tiling.context import Context, ContextStatistics
from ..tiling.costs import Tuning
from ..tiling.geometry import round_up
from ..tiling.network import BytesOutput, Known, NetworkOutput, PaddedPicture
from ..tiling.planning import Limits, TilePath
from ..tiling.spec import SpairNetwork
from ..tiling.two_stage import Localization, TwoStageNetwork
from .library import Library, ThreadPool
from .library.structures import Bytes
from .localization import Localizer
from .memory.buffers import Buffers
from .program import Watch
from .restoration import Inputs, RowRestorer
from .statistics import KernelStatistics

TUNING = Tuning(dense_ns=4650.0, packed_ns=4300.0, window_ns=10.0, call_ns=8.5e5)
"""Costs of the preset tiny on one core of an AMD EPYC with AVX2, in processor time; they stand in until `spair profile`
measures those of a machine. A piece is always computed on rows, so that only their ratios count."""
_PATHS: tuple[TilePath, ...] = ("packed",)


class CpuNetwork:
    """Network of a row program.

    It owns threads, and for each picture that is restored at the same time a set of buffers, which is kept for the next
    one.
    """

    paths: Sequence[TilePath]
    """Paths by which a piece can be computed."""

    def __init__(
        self,
        spec: SpairNetwork,
        localizer: Localizer,
        restorer: RowRestorer,
        library: Library,
        pool: ThreadPool,
        precision: str,
    ) -> None:
        """Take over the threads.

        Args:
            spec: sizes and halos.
            localizer: Net_L.
            restorer: Net_R.
            library: the kernels.
            pool: threads that compute; they end with the network.
            precision: precision of both stages.
        """
        self.precision = precision
        self.spec, self.tuning, self.paths = spec, TUNING, _PATHS
        self._localizer, self._restorer, self._library, self._pool = localizer, restorer, library, pool
        self._lock, self._idle, self._busy, self._closed = threading.Lock(), list[Buffers](), 0, False

    def watch(self, net_l: Watch | None, net_r: Watch | None) -> None:
        """Let somebody else run the steps of the stages.

        Nothing may run meanwhile.

        Args:
            net_l: what runs those of Net_L; None for a plain call.
            net_r: the same of Net_R.
        """
        self._localizer.watch, self._restorer.watch = net_l, net_r

    @property
    def keeps_scenes(self) -> bool:
        """Whether it takes distorted pixels from a scene."""
        return self.spec.gate_output

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Lend buffers and threads to one picture.

        Raises:
            ValueError: the network is closed.
        """
        with self._lock:
            if self._closed:
                raise ValueError("the network was closed")
            self._busy += 1
            buffers = self._idle.pop() if self._idle else Buffers()
        try:
            yield Session(self, buffers)
        finally:
            with self._lock:
                self._busy -= 1
                if not self._closed:
                    self._idle.append(buffers)
                elif not self._busy:
                    self._pool.close()

    def restore(self, picture: PaddedPicture, limits: Limits, clock: StageClock) -> NetworkOutput:
        """Restore one picture, see `TwoStageNetwork.restore`."""
        with self.session() as session:
            return session.restore(picture, limits, clock)

    def restore_bytes(self, image: np.ndarray, known: Known, limits: Limits, clock: StageClock) -> BytesOutput | None:
        """Restore an 8-bit picture, see `Network.restore_bytes`.

        The kernels read and write the bytes.

        Raises:
            GateError: the network gave values that are not finite.
        """
        if image.strides[2] != 1 or not self.spec.gate_output:
            return None
        height, width = image.shape[:2]
        full = tuple(round_up(side, self.spec.multiple) for side in (height, width))
        planes = np.empty((1, 3, *full), np.float32)
        call = Bytes(image.ctypes.data, planes.ctypes.data)
        call.line, call.step, call.height, call.width = *image.strides[:2], height, width
        call.full_height, call.full_width = full
        with self.session() as session:
            with clock.stage("pre"):
                self._library.call("read_bytes", self._pool, call)
            output = session.restore(PaddedPicture(planes, (height, width), known), limits, clock)
            with clock.stage("post"):
                assert output.mask is not None
                found = output.mask[:height, :width].copy()
                restored, out = np.ascontiguousarray(output.image, np.float32), np.empty((height, width, 3), np.uint8)
                call.planes, call.mask, call.out = restored.ctypes.data, found.ctypes.data, out.ctypes.data
                self._library.call("write_bytes", self._pool, call)
        return BytesOutput(out, found, float(found.mean()), output.tiles)

    def close(self) -> None:
        """Release threads and buffers; may be called twice.

        A picture that is being restored keeps them until it is done.
        """
        with self._lock:
            self._closed = True
            self._idle.clear()
            if not self._busy:
                self._pool.close()


class Session(TwoStageNetwork):
    """Buffers of one picture at a time.

    Results stand in the buffers: a localization is valid until the next one.
    """

    def __init__(self, owner: CpuNetwork, buffers: Buffers) -> None:
        self.spec, self.paths, self.tuning = owner.spec, owner.paths, owner.tuning
        self._library, self._pool, self._buffers = owner._library, owner._pool, buffers
        self._localizer, self._restorer = owner._localizer, owner._restorer

    def localize(self, image: np.ndarray) -> Localization:
        """Run Net_L.

        The features are views with the channels side by side.
        """
        planes = np.ascontiguousarray(image[0], dtype=np.float32)
        mask, features = self._localizer.run(self._pool, self._buffers, planes)
        by_scale = list(features.values())
        return Localization(mask[None, None], {scale: by_scale[scale][None] for scale in self.spec.scales})

    def restore_window(self, image: np.ndarray, located: Localization, context: Context, path: TilePath) -> np.ndarray:
        """Run Net_R on the rows of the window's distorted pixels."""
        planes = np.array(image[0], dtype=np.float32, order="C")
        mask = np.ascontiguousarray(located.mask[0, 0] > 0.5).view(np.uint8)
        features = {scale: feature[0] for scale, feature in located.features.items()}
        self._restorer.run(self._pool, self._buffers, Inputs(planes, mask, features, context))
        return planes[None]

    def make_statistics(self, height: int, width: int) -> ContextStatistics:
        """Begin the statistics of a picture of this padded size."""
        return KernelStatistics(self.spec, height, width, self._library, self._pool)

    def close(self) -> None:
        """Do nothing, since the network keeps the buffers."""
