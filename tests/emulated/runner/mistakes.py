"""Slots with one mistake each, and their signs."""

from __future__ import annotations

import numpy as np

from tests.emulated.runner.device import Buffer
from tests.emulated.runner.slot import Slot

LARGE = (1, 3, 32, 32)
"""Another shape than the one of the tests' pictures."""


class NoWait(Slot):
    """Outputs are read without a wait."""

    def _wait(self):
        pass


class EarlyEvent(Slot):
    """The event is recorded before the copy back is queued."""

    def _launch(self):
        for buffer in self._inputs.values():
            self._device.cuda.memcpy_htod_async(buffer.device, buffer.host, self._stream)
        self._context.execute_async_v3(self._stream.handle)
        self._done.record(self._stream)
        for buffer in self._outputs.values():
            self._device.cuda.memcpy_dtoh_async(buffer.host, buffer.device, self._stream)


class HostAddress(Slot):
    """The address is that of pinned memory."""

    def _bind(self, trt, engine, shapes):
        super()._bind(trt, engine, shapes)
        self._context.set_tensor_address("image", self._inputs["image"].host.ctypes.data)


class SmallBuffer(Slot):
    """The address lies four bytes inside of the buffer."""

    def _bind(self, trt, engine, shapes):
        super()._bind(trt, engine, shapes)
        self._context.set_tensor_address("image", int(self._inputs["image"].device) + 4)


class SwappedAddresses(Slot):
    """The picture is written into the mask's memory."""

    def _bind(self, trt, engine, shapes):
        super()._bind(trt, engine, shapes)
        self._context.set_tensor_address("restored", int(self._outputs["mask"].device))


class NoAddress(Slot):
    """The addresses were set in a context that is gone."""

    def _bind(self, trt, engine, shapes):
        super()._bind(trt, engine, shapes)
        self._context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        self._context.set_input_shape("image", shapes["image"])


class NoShape(Slot):
    """The shapes are never told to TensorRT."""

    def _bind(self, trt, engine, shapes):
        n, _, h, w = shapes["image"]
        self._inputs["image"] = Buffer(self._device, shapes["image"], np.float32)
        self._outputs["restored"] = Buffer(self._device, shapes["image"], np.float32)
        self._outputs["mask"] = Buffer(self._device, (n, 1, h, w), np.float32)
        for name, buffer in {**self._inputs, **self._outputs}.items():
            self._context.set_tensor_address(name, int(buffer.device))


class IgnoredRefusal(Slot):
    """The buffers have a shape that was refused."""

    def _bind(self, trt, engine, shapes):
        self._context.set_input_shape("image", (1, 3, 500, 500))
        for name in ("image", "restored", "mask"):
            self._outputs[name] = Buffer(self._device, (1, 3, 500, 500), np.float32)
            self._context.set_tensor_address(name, int(self._outputs[name].device))


class FreedEarly(Slot):
    """The address outlives its memory."""

    def _bind(self, trt, engine, shapes):
        super()._bind(trt, engine, shapes)
        temporary = self._device.cuda.mem_alloc(self._outputs["restored"].host.nbytes)
        self._context.set_tensor_address("restored", int(temporary))


class OverwrittenInput(Slot):
    """The input is overwritten while its copy is queued."""

    def _launch(self):
        super()._launch()
        self._inputs["image"].host[...] = 0


class BlockingStream(Slot):
    """The stream waits for the default stream.

    pycuda's do by default, and that breaks a capture.
    """

    def __init__(self, device, *rest):
        device.cuda.Stream, stream = (lambda flags=0: stream(0)), device.cuda.Stream
        try:
            super().__init__(device, *rest)
        finally:
            device.cuda.Stream = stream

    def _enqueue(self):
        super()._enqueue()
        self._device.cuda.memcpy_htod(self._inputs["image"].device, self._inputs["image"].host)


class Pageable(Slot):
    """Outputs are copied to memory that is not pinned."""

    def _bind(self, trt, engine, shapes):
        super()._bind(trt, engine, shapes)
        self._kept = [buffer.host for buffer in self._outputs.values()]
        for buffer in self._outputs.values():
            buffer.host = np.empty(buffer.shape, np.float32)

    def close(self):
        for buffer, host in zip(self._outputs.values(), self._kept, strict=True):
            buffer.host = host
        super().close()


class SynchronousCopy(Slot):
    """The output is copied on the default stream.

    That one does not wait for a non-blocking one.
    """

    def run(self, feeds):
        with self._lock, self._device.current():
            self._inputs["image"].host[...] = feeds["image"]
            self._launch()
            out = np.empty(self._outputs["restored"].shape, np.float32)
            self._device.cuda.memcpy_dtoh(out, self._outputs["restored"].device)
            return {"restored": out}


class ChangedShape(Slot):
    """The shape is changed after the graph was captured."""

    def _launch(self):
        self._context.set_input_shape("image", LARGE)
        super()._launch()


class StreamFirst(Slot):
    """Memory and stream are freed while work is queued."""

    def close(self):
        self._launch()
        for buffer in (*self._inputs.values(), *self._outputs.values()):
            buffer.free()
        self._inputs, self._outputs = {}, {}
        if self._graph is not None:
            self._graph.destroy()
        self._done = self._stream = self._context = None


class NotCurrent(Slot):
    """Work is launched while the context is not current."""

    def run(self, feeds):
        self._inputs["image"].host[...] = feeds["image"]
        self._launch()
        self._wait()
        return {name: buffer.host.copy() for name, buffer in self._outputs.items()}


class NoScratch(Slot):
    """The context gets no scratch memory."""

    def _provide(self):
        pass


class SmallScratch(Slot):
    """The scratch memory is smaller than the context is told."""

    def _provide(self):
        size = self._context.update_device_memory_size_for_shapes()
        self._scratch = self._device.cuda.mem_alloc(size // 2)
        self._context.set_device_memory(int(self._scratch), size)


class OldScratch(Slot):
    """The scratch memory has the size of a smaller shape."""

    def _provide(self):
        image = self._inputs["image"].shape
        self._context.set_input_shape("image", (1, 3, 8, 8))
        size = self._context.update_device_memory_size_for_shapes()
        self._context.set_input_shape("image", image)
        self._scratch = self._device.cuda.mem_alloc(size)
        self._context.set_device_memory(int(self._scratch), size)


class FreedScratch(Slot):
    """The scratch memory is freed before the work ran."""

    def _launch(self):
        super()._launch()
        if self._scratch is not None:
            self._scratch.free()
            self._scratch = None


MISTAKES = {
    NoWait: "wrong picture|while queued work writes it",
    EarlyEvent: "wrong picture|while queued work writes it",
    HostAddress: "pinned memory that is not mapped|illegal memory access",
    SmallBuffer: "bytes at 4 of memory",
    SwappedAddresses: "illegal memory access|wrong picture",
    NoAddress: "does not run",
    NoShape: "does not run",
    IgnoredRefusal: "does not run",
    FreedEarly: "used after it was freed",
    OverwrittenInput: "wrong picture|while queued work reads it",
    BlockingStream: "the default stream would wait for a capturing stream",
    Pageable: "not pinned",
    SynchronousCopy: "that queued work still writes",
    ChangedShape: "replayed after shapes",
    StreamFirst: "freed while queued work uses it",
    NotCurrent: "invalid device context",
    NoScratch: "does not run",
    SmallScratch: "scratch memory: .* bytes at 0 of memory",
    OldScratch: "does not run",
    FreedScratch: "freed while queued work uses it|used after it was freed",
}
"""Slot -> what one of its signs has to say."""


class AllocatesInCapture(Slot):
    """Memory is allocated during the capture."""

    def _enqueue(self):
        self._device.cuda.mem_alloc(16).free()
        super()._enqueue()


class WaitsInCapture(Slot):
    """The stream is waited for during the capture."""

    def _enqueue(self):
        super()._enqueue()
        self._stream.synchronize()


class NoWarmUp(Slot):
    """Nothing ran before the capture."""

    def _warm_up(self, runs):
        pass


class ForgottenMemory(Slot):
    """Buffers are never freed."""

    def close(self):
        self.kept = [*self._inputs.values(), *self._outputs.values()]
        self._inputs, self._outputs = {}, {}
        super().close()
