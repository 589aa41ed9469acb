"""Two-stage network on the kernels of the processor."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from ..clock import StageClock
from ..tiling.context import Context, ContextStatistics
from ..tiling.costs import Tuning
from ..tiling.geometry import Box, round_up
from ..tiling.network import BytesOutput, Known, NetworkOutput, PaddedPicture
from ..tiling.planning import Limits, TilePath
from ..tiling.spec import SpairNetwork
from ..tiling.two_stage import Localization, PieceWindow, TwoStageNetwork
from .library import Library, ThreadPool
from .library.structures import Bytes
from .localization import Localizer
from .memory.buffers import Buffers
from .program import Watch
from .restoration import RowRestorer
from .sites import Inputs
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
    takes_threshold = True
    """Whether it takes another threshold of the mask."""

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
        call = Bytes(image.ctypes.data)
        call.line, call.step, call.height, call.width = *image.strides[:2], height, width
        call.full_height, call.full_width = (round_up(side, self.spec.multiple) for side in (height, width))
        with self.session() as session:
            with clock.stage("pre"):
                planes, into = session.take_planes(call.full_height, call.full_width, known, limits)
                call.planes = planes.ctypes.data
                self._library.call("read_bytes", self._pool, call)
            output = session.restore(PaddedPicture(planes, (height, width), known, into), limits, clock)
            with clock.stage("post"):
                assert output.mask is not None
                found, out = output.mask[:height, :width].copy(), np.empty((height, width, 3), np.uint8)
                call.planes, call.mask, call.out = output.image.ctypes.data, found.ctypes.data, out.ctypes.data
                self._library.call("write_bytes", self._pool, call)
                session.rest_planes()
        return BytesOutput(out, found, np.count_nonzero(found) / found.size, output.tiles)

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

    @property
    def takes_threshold(self) -> bool:
        """Whether Net_L takes another threshold of the mask."""
        return True

    def take_planes(
        self, height: int, width: int, known: Known, limits: Limits
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Lend planes for a picture and its result.

        Pictures of one block get kept memory. Larger ones, whose memory must not be kept, and frames of a video, whose
        scene keeps them, get their own.

        Args:
            height: that of the padded picture in pixels.
            width: the same.
            known: knowledge of the picture.
            limits: bounds on blocks.

        Returns:
            [1, 3, H, W] float32, twice; None in place of the second where the result needs memory of its own.
        """
        shape = (1, 3, height, width)
        if known.scene is not None or height * width > limits.block_pixels:
            return np.empty(shape, np.float32), None
        size = 3 * height * width
        return self._buffers.take("planes", size).reshape(shape), self._buffers.take("restored", size).reshape(shape)

    def rest_planes(self) -> None:
        """Take the planes back."""
        self._buffers.rest(("planes", "restored"))

    def localize(self, image: np.ndarray, logit: float | None = None) -> Localization:
        """Run Net_L.

        The features are views with the channels side by side.
        """
        mask, features = self._localizer.run(self._pool, self._buffers, _with_lines(image), logit=logit)
        by_scale = list(features.values())
        return Localization(mask[None, None], {scale: by_scale[scale][None] for scale in self.spec.scales})

    def restore_window(self, image: np.ndarray, located: Localization, context: Context, path: TilePath) -> np.ndarray:
        """Run Net_R on the rows of the window's distorted pixels."""
        restored = np.array(image, dtype=np.float32, order="C")
        whole = Box(0, 0, *image.shape[2:])
        self.restore_core(
            PieceWindow(image, located.mask[0, 0] > 0.5, located.features, whole), context, path, restored
        )
        return restored

    def restore_core(self, window: PieceWindow, context: Context, path: TilePath, target: np.ndarray) -> bool:
        """Restore the distorted pixels of a window's core."""
        mask = np.ascontiguousarray(window.mask).view(np.uint8)
        features = {scale: feature[0] for scale, feature in window.features.items()}
        inputs = Inputs(_with_lines(window.image), mask, features, context, window.core, target[0])
        return self._restorer.run(self._pool, self._buffers, inputs)

    def make_statistics(self, height: int, width: int) -> ContextStatistics:
        """Begin the statistics of a picture of this padded size."""
        return KernelStatistics(self.spec, height, width, self._library, self._pool)

    def close(self) -> None:
        """Do nothing, since the network keeps the buffers."""


def _with_lines(image: np.ndarray) -> np.ndarray:
    """Return the planes of a picture with contiguous lines."""
    planes: np.ndarray = image[0]
    has_lines = planes.dtype == np.float32 and planes.strides[2] == planes.itemsize
    return planes if has_lines else np.ascontiguousarray(planes, np.float32)
