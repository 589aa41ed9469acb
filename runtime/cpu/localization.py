"""Net_L on maps whose pixels are outermost."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from .library import Library, ThreadPool
from .library.structures import Doubling, Head, MapConvolution
from .memory.buffers import Buffers, Use, assign_buffers
from .memory.forms import FLOAT, Form, Wanted, choose_form, describe_results, describe_rounding
from .memory.layers import Layer, Weights, pack_head, pack_map, round_channels
from .memory.maps import Map, floats_of, read_planes
from .program import AddDoubled, ConvolveMap, FindMask, MapStep, RowProgram, Watch

PICTURE = "image"
"""Name of the picture among the values."""
_COLOURS = 3

Observe = Callable[[str, str, np.ndarray], None]
"""Function that gets a layer's name, its value's name and the value [C, H, W], which it must copy and may change."""


@dataclass(frozen=True)
class _Shape:
    """Size of a value."""

    level: int
    """Halvings from the picture's size."""
    channels: int

    @property
    def stride(self) -> int:
        return round_channels(self.channels)


Values = dict[tuple[str, Form], Map]
"""Maps by name and form."""


class Localizer:
    """Net_L of a program, ready to run.

    It keeps weights only; every call brings its buffers, so that threads may share it.
    """

    def __init__(self, library: Library, program: RowProgram, *, halves: bool = False) -> None:
        """Pack the weights.

        Args:
            library: the kernels.
            program: steps and weights.
            halves: whether layers read bfloat16 in place of float32.

        Raises:
            ValueError, KeyError: the program's steps do not fit together.
        """
        self._library, self._steps, self._halves = library, program.net_l, halves
        self.watch: Watch | None = None
        """Function that runs the steps; None for a plain call. It is to be set while nothing runs."""
        self._shapes: dict[str, _Shape] = {PICTURE: _Shape(0, _COLOURS)}
        self._layers: dict[str, Layer] = {}
        for step in self._steps:
            self._prepare(step, program)
        self._picture_border = self._widest_pads(PICTURE)
        self._border = max((self._widest_pads(name) for name in self._shapes if name != PICTURE), default=0)
        self._head = next(step for step in self._steps if isinstance(step, FindMask))
        self._features = program.features
        reads = [read for step in self._steps for read in self._reads(step)]
        self._wanted = Wanted.by([*reads, *((name, FLOAT) for name in self._features)])
        uses = [use for step in self._steps for use in self._uses(step)]
        self._places = assign_buffers(uses, frozenset((name, FLOAT) for name in self._features))

    @property
    def values(self) -> list[str]:
        """Names of the values that it makes."""
        return [*(step.out for step in self._steps), self._head.mask]

    def _prepare(self, step: MapStep, program: RowProgram) -> None:
        if isinstance(step, AddDoubled):
            self._shapes[step.out] = self._shapes[step.fine]
            return
        source = self._shapes[step.x]
        stride = _COLOURS if step.x == PICTURE else source.stride
        given = Weights(*program.weights_of(step), self._form(step), program.scales_of(step))
        if given.weight.shape[1] != source.channels:
            raise ValueError(
                f"the layer {step.name} has weights {given.weight.shape} and reads {source.channels} channels"
            )
        if isinstance(step, FindMask):
            self._layers[step.out] = pack_head(self._library, given, stride)
            self._shapes[step.out] = _Shape(source.level - 1, self._layers[step.out].channels)
        else:
            self._layers[step.out] = pack_map(self._library, given, stride)
            self._shapes[step.out] = _Shape(source.level + (step.stride == 2), len(given.bias))

    def _form(self, step: ConvolveMap | FindMask) -> Form:
        return choose_form(step.step, halves=self._halves)

    def _reads(self, step: MapStep) -> tuple[tuple[str, Form], ...]:
        if isinstance(step, AddDoubled):
            return (step.fine, FLOAT), (step.coarse, FLOAT)
        x = (step.x, self._form(step))
        return (x, (step.add, FLOAT)) if isinstance(step, ConvolveMap) and step.add else (x,)

    def _uses(self, step: MapStep) -> list[Use]:
        plan, reads, level = self._wanted.plan(step.out), self._reads(step), self._shapes[step.out].level
        if isinstance(step, FindMask):  # its map has no border, so that it stands in a buffer of its own
            return [Use(reads, (step.out, FLOAT), -1)]
        replaced = step.fine if isinstance(step, AddDoubled) else step.add
        return plan.list_uses(reads, step.out, level, (replaced, FLOAT) if replaced else None)

    def _widest_pads(self, name: str) -> int:
        steps = [step for step in self._steps if not isinstance(step, AddDoubled)]
        return max((step.pads for step in steps if step.x == name), default=0)

    def run(
        self,
        pool: ThreadPool,
        buffers: Buffers,
        planes: np.ndarray,
        observe: Observe | None = None,
        logit: float | None = None,
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Find the mask and the features of a window.

        Args:
            pool: threads that compute.
            buffers: what the results stand in, until the next call with the same buffers.
            planes: [3, H, W] float32 in 0..1, whose lines are contiguous.
            observe: called after each step; what it changes is what later steps read.
            logit: logit above which a pixel counts as distorted; None for the program's own.

        Returns:
            mask [H, W] float32, 1 where distorted, else 0; features [C, H / 2**s, W / 2**s] by name, views.
        """
        return _Run(self, pool, buffers, planes.shape[1:], observe, logit).run(planes)


class _Made(NamedTuple):
    """Calls of one size, and what they make."""

    calls: list[tuple[str, ctypes.Structure]]
    head: Head
    """The call among them that compares with the threshold."""
    picture: Map
    mask: np.ndarray
    features: dict[str, np.ndarray]


class _Run:
    """Localization of one window."""

    def __init__(
        self,
        owner: Localizer,
        pool: ThreadPool,
        buffers: Buffers,
        size: Sequence[int],
        observe: Observe | None,
        logit: float | None,
    ) -> None:
        self._owner, self._library, self._pool, self._buffers = owner, owner._library, pool, buffers
        self._height, self._width = size
        self._observe = observe
        self._threshold = owner._head.threshold if logit is None else logit
        self._values: Values = {}
        self._calls: list[tuple[str, ctypes.Structure]] = []

    def run(self, planes: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Make all calls, anew or those of this size."""
        key = ("net_l", self._height, self._width)
        anew = self._observe is not None or self._owner.watch is not None
        made: _Made | None = None if anew else self._buffers.recall(key)
        if made is not None:
            self._read_picture(planes, made.picture)
            made.head.threshold = self._threshold
            for name, call in made.calls:
                self._library.call(name, self._pool, call)
            return made.mask, made.features
        generation = self._buffers.generation
        made = self._run_steps(planes)
        # Where an array grew on the way, earlier calls have the address of one that is gone; the next run makes none.
        if not anew and self._buffers.generation == generation:
            self._buffers.note(key, made)
        return made.mask, made.features

    def _run_steps(self, planes: np.ndarray) -> _Made:
        owner, observe = self._owner, self._observe
        picture = self._make(PICTURE, FLOAT)
        self._read_picture(planes, picture)
        self._round(PICTURE, owner._wanted.plan(PICTURE, apart=True).later)
        mask = self._buffers.take("mask", self._height * self._width).reshape(self._height, self._width)
        for step in owner._steps:
            if owner.watch is None:
                self._run_step(step, mask)
            else:
                owner.watch(step, partial(self._run_step, step, mask))
        if observe is not None:
            observe(owner._head.name, owner._head.mask, mask[None])
        read_later = {self._name(name, FLOAT) for name in owner._features}
        self._buffers.rest({self._name(*value) for value in self._values} - read_later)
        features = {name: self._values[name, FLOAT].as_planes() for name in owner._features}
        return _Made(self._calls, self._head, picture, mask, features)

    def _run_step(self, step: MapStep, mask: np.ndarray) -> None:
        if isinstance(step, FindMask):
            self._find_mask(step, mask)
        else:
            self._run_map(step)
        if self._observe is not None:
            self._observe(getattr(step, "name", step.out), step.out, self._values[step.out, FLOAT].as_planes())
        self._round(step.out, self._owner._wanted.plan(step.out, apart=self._observe is not None).later)

    def _call(self, name: str, call: ctypes.Structure) -> None:
        self._library.call(name, self._pool, call)
        self._calls.append((name, call))

    def _name(self, name: str, form: Form) -> Hashable:
        """Return the name of a value's buffer."""
        return ("map", *self._owner._places.get((name, form), (name, form)))

    def _make(self, name: str, form: Form) -> Map:
        """Lay a map of a value out in its buffer."""
        owner, shape = self._owner, self._owner._shapes[name]
        border = owner._picture_border if name == PICTURE else 0 if name == owner._head.out else owner._border
        stride = _COLOURS if name == PICTURE else shape.stride
        size = self._height >> shape.level, self._width >> shape.level
        kind = self._library.types[form.kind]
        array = self._buffers.take(self._name(name, form), floats_of(*size, stride, border), kind)
        self._values[name, form] = Map.inside(array, *size, shape.channels, stride, border)
        return self._values[name, form]

    def _round(self, name: str, forms: Sequence[Form]) -> None:
        for form in forms:
            made = self._make(name, form)
            self._call("round_values", describe_rounding(self._values[name, FLOAT].array, made.array, form))

    def _read_picture(self, planes: np.ndarray, picture: Map) -> None:
        border = self._owner._picture_border
        read_planes(self._library, self._pool, planes, picture.first, border)

    def _run_map(self, step: ConvolveMap | AddDoubled) -> None:
        owner = self._owner
        plan = owner._wanted.plan(step.out, apart=self._observe is not None)
        out = self._make(step.out, FLOAT) if plan.floats else None
        rounded = self._make(step.out, plan.fused) if plan.fused is not None else None
        addresses = [None if one is None else one.first for one in (out, rounded)]
        to = describe_results(addresses[0], addresses[1], plan.fused)
        one = out or rounded
        assert one is not None
        if isinstance(step, AddDoubled):
            fine, coarse = self._values[step.fine, FLOAT], self._values[step.coarse, FLOAT]
            sizes = (one.height, one.width, one.stride, owner._border)
            call = Doubling(fine.first, coarse.first, to, fine.line, coarse.line, one.line, *sizes)
            self._call("add_doubled_f32", call)
            return
        layer = owner._layers[step.out]
        convolution = self._describe(step, layer, step.stride, one.height, one.width)
        convolution.to, convolution.out_line, convolution.border = to, one.line, owner._border
        convolution.relu = step.relu
        if step.add:
            add = self._values[step.add, FLOAT]
            convolution.add, convolution.add_line = add.first, add.line
        self._call(f"convolve_map_{layer.form.kind}", convolution)

    def _describe(
        self, step: ConvolveMap | FindMask, layer: Layer, stride: int, height: int, width: int
    ) -> MapConvolution:
        """Describe a convolution without its result.

        The result has the given size.
        """
        x = self._values[step.x, layer.form]
        first = x.first - x.array.itemsize * step.pads * (x.line + x.stride)
        call = MapConvolution(first, layer.weight.ctypes.data, layer.describe_factors())
        call.x_line, call.x_next, call.x_step = x.line, stride * x.line, stride * x.stride
        call.lines, call.run = layer.kernel, layer.kernel * x.stride
        call.height, call.width, call.outputs = height, width, layer.outputs
        return call

    def _find_mask(self, step: FindMask, mask: np.ndarray) -> None:
        layer, out = self._owner._layers[step.out], self._make(step.out, FLOAT)
        call = self._describe(step, layer, 1, self._height // 2, self._width // 2)
        self._head = Head(call, out.first, mask.ctypes.data, out.stride, self._threshold)
        self._call(f"find_mask_{layer.form.kind}", self._head)
