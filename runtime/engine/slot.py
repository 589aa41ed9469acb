"""One place where an engine computes."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ..cuda import CapturedWork, Cuda, CudaError, Event, Memory, Stream
from ..cuda.marks import COMPUTED, COPIED_IN, COPIED_OUT, START, Marks
from .buffers import Buffer, close_all
from .errors import EngineError
from .tensorrt import ExecutionContext, LoadedEngine

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of tensors by name."""
_LOG = logging.getLogger("spair.tensorrt")
_numbers = itertools.count()


def _mark_nothing(mark: int) -> None:
    pass


def _annotate_nothing(name: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class SlotOptions:
    """Options of slots."""

    graph: bool = True
    """Whether a shape that comes again is captured and replayed as a CUDA graph."""
    spin: bool = False
    """Whether a thread that waits keeps a core busy, which answers a little sooner."""
    warm_up: int = 2
    """Number of runs with one shape before it is captured: TensorRT prepares itself in the first one after a change."""
    annotate: Callable[[str], AbstractContextManager[None]] = _annotate_nothing
    """Function that names what happens in a `with` block to a profiler: engine, slot and picture."""


class Slot:
    """Context, stream and memory of one inference at a time.

    It is made, used and closed while the CUDA context is current, by one thread at a time. Addresses stay as they are
    until a larger picture comes.
    """

    def __init__(self, cuda: Cuda, engine: LoadedEngine, options: SlotOptions) -> None:
        """Make a slot.

        Raises:
            CudaError, EngineError: there is not enough memory.
        """
        self._cuda, self._engine, self._options = cuda, engine, options
        self._buffers = {tensor.name: Buffer(cuda) for tensor in engine.tensors}
        self._inputs = [tensor for tensor in engine.tensors if tensor.is_input]
        self._outputs = [tensor for tensor in engine.tensors if not tensor.is_input]
        self._shapes: Shapes = MappingProxyType({})
        self._sizes: dict[str, int] = {}
        self._views: dict[str, np.ndarray] = {}
        self._runs, self._pictures = 0, itertools.count()
        self._name = f"{Path(engine.where).stem}, slot {next(_numbers)}"
        self._context: ExecutionContext | None = None
        self._stream: Stream | None = None
        self._done: Event | None = None
        self._graph: CapturedWork | None = None
        self._scratch: Memory | None = None
        self._scratch_size = 0
        self.refused: str | None = None
        """Reason why the work could not be captured."""
        try:
            self._stream = cuda.make_stream()
            self._done = cuda.make_event(spin=options.spin)
            self._context = engine.make_context()
        except BaseException:
            self.close()
            raise

    @property
    def captured(self) -> bool:
        """Whether the next run of these shapes replays a graph."""
        return self._graph is not None

    @property
    def scratch_size(self) -> int:
        """Bytes of working memory that the slot holds."""
        return self._scratch_size

    def run(self, feeds: Mapping[str, np.ndarray], growth: float = 1.0) -> dict[str, np.ndarray]:
        """Run the engine once.

        Args:
            feeds: an array for each input, contiguous or not, of exactly its type.
            growth: memory that is reserved when it has to grow, as a multiple of what these shapes need.

        Returns:
            A new array for each output.

        Raises:
            CudaError, EngineError: the GPU or TensorRT refuses.
        """
        with self._options.annotate(f"{self._name}, picture {next(self._pictures)}"):
            self.prepare(feeds, growth)
            self._launch()
            self._wait()
            values = {tensor.name: self._views[tensor.name].copy() for tensor in self._outputs}
        self._consider_capture()
        return values

    def prepare(self, feeds: Mapping[str, np.ndarray], growth: float = 1.0) -> None:
        """Set the shapes and the inputs; see `run`."""
        self._set_shapes({name: tuple(feed.shape) for name, feed in feeds.items()}, growth)
        for tensor in self._inputs:
            np.copyto(self._views[tensor.name], feeds[tensor.name], casting="no")

    def make_marks(self, clock: Callable[[], float] = time.perf_counter) -> Marks:
        """Make marks for `repeat`.

        The caller closes them before the slot.
        """
        assert self._stream is not None
        return Marks(self._cuda, self._stream, clock, spin=self._options.spin)

    def repeat(self, marks: Marks | None = None) -> None:
        """Run the engine once more on the prepared inputs.

        Args:
            marks: get the times of this run.

        Raises:
            CudaError, EngineError: the GPU or TensorRT refuses.
        """
        with self._options.annotate(f"{self._name}, picture {next(self._pictures)}"):
            self._launch(marks)
            self._wait()
        self._consider_capture()

    def report_layers(self, receive: Callable[[str, float], None]) -> None:
        """Let TensorRT report the time of each layer.

        Every run from now on takes longer for it, and cannot be captured.

        Args:
            receive: called with a layer's name and milliseconds, in the engine's order.
        """
        assert self._context is not None and not self._options.graph, "layers report nothing inside of a graph"
        self._context.set_profiler(self._engine.make_profiler(receive))

    def describe_layers(self) -> str:
        """Return TensorRT's own JSON about the layers.

        It has the sizes for the shapes that are set.
        """
        assert self._context is not None
        return self._engine.describe_layers(self._context)

    @property
    def detailed(self) -> bool:
        """Whether the engine tells more of layers than names."""
        return self._engine.detailed

    def _set_shapes(self, shapes: Shapes, growth: float) -> None:
        if shapes == self._shapes:
            return
        assert self._context is not None
        self._drop_graph()
        self._shapes, self._runs = MappingProxyType({}), 0
        self._views.clear()
        for name, shape in shapes.items():
            self._context.set_shape(name, shape)
        for tensor in (*self._inputs, *self._outputs):
            shape = self._context.read_shape(tensor.name)
            size = int(np.prod(shape, dtype=np.int64)) * tensor.dtype.itemsize
            self._sizes[tensor.name] = size
            buffer = self._buffers[tensor.name]
            if buffer.reserve(size, round(size * growth)):
                self._context.set_address(tensor.name, buffer.address)
            self._views[tensor.name] = buffer.view(shape, tensor.dtype)
        self._reserve_scratch(growth)
        self._shapes = MappingProxyType(dict(shapes))

    def _reserve_scratch(self, growth: float) -> None:
        """Give the context the working memory for its shapes."""
        assert self._context is not None
        needed = self._context.measure_scratch()
        if needed > self._scratch_size:
            room = max(needed, min(round(needed * growth), self._engine.scratch_size))
            close_all([self._scratch])
            self._scratch, self._scratch_size = None, 0
            self._scratch = self._cuda.allocate(room)
            self._scratch_size = room
        if self._scratch is not None:
            self._context.set_scratch(self._scratch.address, self._scratch_size)

    def _enqueue(self, mark: Callable[[int], None] = _mark_nothing) -> None:
        """Queue copies and inference; the same is captured."""
        assert self._context is not None and self._stream is not None
        for tensor in self._inputs:
            self._buffers[tensor.name].copy_in(self._sizes[tensor.name], self._stream)
        mark(COPIED_IN)
        self._context.enqueue(self._stream.handle)
        mark(COMPUTED)
        for tensor in self._outputs:
            self._buffers[tensor.name].copy_out(self._sizes[tensor.name], self._stream)

    def _launch(self, marks: Marks | None = None) -> None:
        assert self._stream is not None and self._done is not None
        mark = _mark_nothing if marks is None else marks.set
        mark(START)
        if self._graph is None:
            self._enqueue(mark)
        else:
            self._graph.launch(self._stream)
        mark(COPIED_OUT)
        self._done.record(self._stream)

    def _wait(self) -> None:
        assert self._done is not None
        self._done.synchronize()
        self._runs += 1

    def _consider_capture(self) -> None:
        """Capture the work once its shapes have come often enough."""
        wanted = self._options.graph and self.refused is None and self._graph is None
        if not wanted or self._runs < self._options.warm_up:
            return
        assert self._stream is not None
        try:
            self._graph = self._cuda.capture(self._stream, self._enqueue)
        except (CudaError, EngineError) as error:
            if isinstance(error, CudaError) and error.fatal:
                raise
            self.refused = str(error)
            _LOG.warning("%s runs without a CUDA graph: %s", self._engine.where, error)

    def _drop_graph(self) -> None:
        close_all([self._graph])
        self._graph = None

    def close(self) -> None:
        """Free everything, after the queued work.

        The order is fixed: work, graph, context, memory, event and stream. A lost GPU is no reason to stop.
        """
        if self._stream is not None:
            try:
                self._stream.synchronize()
            except CudaError as error:
                _LOG.error("closing %s: %s", self._engine.where, error)
        self._drop_graph()
        self._context = None
        self._views.clear()
        close_all([*self._buffers.values(), self._scratch, self._done, self._stream])
        self._scratch, self._scratch_size, self._done, self._stream = None, 0, None, None
        self._shapes = MappingProxyType({})
