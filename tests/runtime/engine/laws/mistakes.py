"""Slots of the product with one mistake each."""

from __future__ import annotations

import threading

import numpy as np

from spair.runtime.engine.buffers import close_all
from spair.runtime.engine.slot import Slot

OTHER = (1, 9, 11, 3)
"""Shape that no picture of the tests has."""


class NoWait(Slot):
    """Outputs are read without a wait."""

    def _wait(self):
        self._runs += 1


class EarlyEvent(Slot):
    """The event is recorded before the copy back is queued."""

    def _launch(self, marks=None):
        for tensor in self._inputs:
            self._buffers[tensor.name].copy_in(self._sizes[tensor.name], self._stream)
        self._context.enqueue(self._stream.handle)
        self._done.record(self._stream)
        for tensor in self._outputs:
            self._buffers[tensor.name].copy_out(self._sizes[tensor.name], self._stream)


class HostAddress(Slot):
    """The address is that of pinned memory."""

    def _set_shapes(self, shapes, growth):
        super()._set_shapes(shapes, growth)
        self._context.set_address("image", self._buffers["image"]._pinned.array.ctypes.data)


class ShiftedAddress(Slot):
    """The address lies four bytes inside of the buffer."""

    def _set_shapes(self, shapes, growth):
        super()._set_shapes(shapes, growth)
        self._context.set_address("image", self._buffers["image"].address + 4)


class SwappedAddresses(Slot):
    """The picture is written into the mask's memory."""

    def _set_shapes(self, shapes, growth):
        super()._set_shapes(shapes, growth)
        self._context.set_address("restored", self._buffers["mask"].address)


class NoAddress(Slot):
    """The addresses were set in a context that is gone."""

    def _set_shapes(self, shapes, growth):
        super()._set_shapes(shapes, growth)
        self._context = self._engine.make_context()
        self._context.set_shape("image", shapes["image"])
        self._reserve_scratch(growth)


class SmallBuffers(Slot):
    """Buffers keep the size of the first picture."""

    def _set_shapes(self, shapes, growth):
        for buffer in self._buffers.values():
            if buffer.size:
                buffer.reserve = lambda size, room: False
        super()._set_shapes(shapes, growth)


class HalfCopy(Slot):
    """Half of the picture is copied."""

    def _set_shapes(self, shapes, growth):
        super()._set_shapes(shapes, growth)
        self._sizes["image"] = int(np.prod(shapes["image"])) // 2


class OverwrittenInput(Slot):
    """The input is overwritten while its copy is queued."""

    def _launch(self, marks=None):
        super()._launch(marks)
        self._buffers["image"]._pinned.array[...] = 0


class Pageable(Slot):
    """Outputs are copied to memory that is not pinned."""

    def _set_shapes(self, shapes, growth):
        super()._set_shapes(shapes, growth)
        pinned = self._buffers["restored"]._pinned
        pinned.array = np.empty_like(pinned.array)


class BlockingStream(Slot):
    """The stream waits for the default stream.

    pycuda's do by default, and that breaks a capture.
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        from pycuda import driver

        self._stream.own = driver.Stream(0)
        self._stream.handle = self._stream.own.handle

    def _enqueue(self, *arguments):
        from pycuda import driver

        super()._enqueue(*arguments)
        image = self._buffers["image"]
        driver.memcpy_htod(image.address, image._pinned.array)


class SynchronousCopy(Slot):
    """The output is copied on the default stream.

    That one does not wait for the slot's.
    """

    def _wait(self):
        from pycuda import driver

        self._runs += 1
        for tensor in self._outputs:
            buffer = self._buffers[tensor.name]
            driver.memcpy_dtoh(np.empty(self._sizes[tensor.name], np.uint8), buffer.address)


class ChangedShape(Slot):
    """The context's shape is changed after the work was captured."""

    def _launch(self, marks=None):
        if self.captured:
            self._context.set_shape("image", OTHER)
        super()._launch(marks)


class KeptGraph(Slot):
    """The captured work is kept for the next shape."""

    closing = False

    def _drop_graph(self):
        if self.closing:
            super()._drop_graph()

    def close(self):
        self.closing = True
        super().close()


class NotCurrent(Slot):
    """The context is not current where work is launched."""

    def _launch(self, marks=None):
        failed = []

        def launch():
            try:
                super(NotCurrent, self)._launch(marks)
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=launch)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]


class NoScratch(Slot):
    """The context gets no working memory."""

    def _reserve_scratch(self, growth):
        pass


class SmallScratch(Slot):
    """The working memory is smaller than the context is told."""

    def _reserve_scratch(self, growth):
        size = self._context.measure_scratch()
        close_all([self._scratch])
        self._scratch = self._cuda.allocate(size // 2)
        self._context.set_scratch(self._scratch.address, size)


class OldScratch(Slot):
    """The working memory keeps the size of the first picture."""

    def _reserve_scratch(self, growth):
        if self._scratch is None:
            super()._reserve_scratch(growth)
        else:
            self._context.measure_scratch()
            self._context.set_scratch(self._scratch.address, self._scratch_size)


class UnmeasuredScratch(Slot):
    """The working memory is measured for other shapes."""

    def _reserve_scratch(self, growth):
        image = self._context.read_shape("image")
        self._context.set_shape("image", OTHER)
        super()._reserve_scratch(growth)
        self._context.set_shape("image", image)


class FreedScratch(Slot):
    """The working memory is freed before the work ran."""

    def _launch(self, marks=None):
        super()._launch(marks)
        close_all([self._scratch])
        self._scratch = None


class BusyClose(Slot):
    """Memory is freed while work is queued."""

    def close(self):
        if self._shapes:
            self._launch()
        close_all([*self._buffers.values(), self._scratch])
        self._scratch = None
        super().close()


class ForgottenMemory(Slot):
    """Buffers are never freed."""

    def close(self):
        kept.append(dict(self._buffers))
        self._buffers.clear()
        super().close()


kept: list = []
"""Buffers of `ForgottenMemory`."""

MISTAKES = {
    NoWait: "wrong picture|while queued work writes it",
    EarlyEvent: "wrong picture|while queued work writes it",
    HostAddress: "pinned memory that is not mapped",
    ShiftedAddress: "bytes at 4 of memory",
    SwappedAddresses: "illegal memory access|wrong picture",
    NoAddress: "does not run",
    SmallBuffers: "cannot reshape|bytes at 0 of memory",
    HalfCopy: "wrong picture",
    OverwrittenInput: "wrong picture|while queued work reads it",
    Pageable: "not pinned",
    BlockingStream: "the default stream would wait for a capturing stream",
    SynchronousCopy: "that queued work still writes",
    ChangedShape: "replayed after shapes",
    KeptGraph: "replayed after shapes|used after it was freed",
    NotCurrent: "invalid device context",
    NoScratch: "does not run",
    SmallScratch: "scratch memory: .* bytes at 0 of memory",
    OldScratch: "does not run",
    UnmeasuredScratch: "does not run",
    FreedScratch: "freed while queued work uses it|used after it was freed",
    BusyClose: "freed while queued work uses it",
    ForgottenMemory: "left behind",
}
"""Slot -> what one of its signs has to say."""


class AllocatesInCapture(Slot):
    """Memory is allocated during the capture."""

    def _enqueue(self, *arguments):
        self._cuda.allocate(16).close()
        super()._enqueue(*arguments)


class WaitsInCapture(Slot):
    """The stream is waited for during the capture."""

    def _enqueue(self, *arguments):
        super()._enqueue(*arguments)
        self._stream.synchronize()
