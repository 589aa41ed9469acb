"""Net_R on rows of distorted pixels."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial

import numpy as np

from .library import Library, ThreadPool
from .library.structures import Finish, Lift, RowAttention, RowConvolution, RowTaps
from .memory.buffers import Buffers, Use, assign_buffers
from .memory.forms import FLOAT, HALF, Form, Plan, Wanted, choose_form, describe_results, round_values
from .memory.keys import pack_keys
from .memory.layers import Layer, Weights, fits_taps, pack_rows, pack_taps, round_channels
from .memory.maps import Map
from .program import AddResidual, AttendRows, ConvolveAround, ConvolveRows, RowProgram, RowStep, Watch
from .sites import Inputs, Site, SiteMaker
from .statistics import project_keys

_COLOURS = 3

Observe = Callable[[str, str, np.ndarray, Site], None]
"""Function that gets a layer's name, its value's name, its rows [n, C] and their site.

It must copy the rows. It may change them in place, but for those of a pixel shuffle; later steps read the changed
ones."""


class RowRestorer:
    """Net_R of a program, ready to run.

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
        self.library, self._steps, self._arrays, self._halves = library, program.net_r, program.arrays, halves
        self.watch: Watch | None = None
        """Function that runs the steps; None for a plain call. It is to be set while nothing runs."""
        self._makers = {step.out: step for step in self._steps}
        for step in self._steps:
            if isinstance(step, (ConvolveAround, ConvolveRows)):
                self._check_kernel(step)
        self._alone = Wanted.by((step.x, self._form(step)) for step in self._steps if isinstance(step, ConvolveRows))
        self._wanted = Wanted.by(read for step in self._steps for read in self._reads(step))
        self._plans: dict[tuple[str, bool], Plan] = {}
        self._layers = {
            step.out: self._pack(program, step)
            for step in self._steps
            if isinstance(step, (ConvolveAround, ConvolveRows))
        }
        self._widths = {step.out: self._width_of(step) for step in self._steps if not isinstance(step, AddResidual)}
        self._check_inputs()
        self.scales = 1 + max(step.scale for step in self._steps if not isinstance(step, AddResidual))
        self.out = self._steps[-1].out
        """Name of the restored picture in the graph."""
        self._places = assign_buffers([use for step in self._steps for use in self._uses(step)])
        self._calls = {
            step.out: self._layers[step.out].describe_rows(step.slope)
            for step in self._steps
            if isinstance(step, (ConvolveAround, ConvolveRows))
        }

    def _pack(self, program: RowProgram, step: ConvolveAround | ConvolveRows) -> Layer:
        given = Weights(*program.weights_of(step), self._form(step), program.scales_of(step))
        if isinstance(step, ConvolveAround):
            return pack_rows(self.library, given)
        plain = not (step.add or step.relu or step.folded) and step.slope == 1.0 and self.plan(step).fused is None
        if plain and fits_taps(given):
            return pack_taps(self.library, given)
        return pack_rows(self.library, given, folded=step.folded)

    def _form(self, step: ConvolveAround | ConvolveRows) -> Form:
        return choose_form(step.step, halves=self._halves)

    def _reads(self, step: RowStep) -> tuple[tuple[str, Form], ...]:
        if isinstance(step, ConvolveAround):
            return ((_lifted(step), self._form(step)),)
        if isinstance(step, ConvolveRows):
            x = (step.x, self._form(step))
            return (x, (step.add, self.form_added(step))) if step.add else (x,)
        return ((step.x, FLOAT),)

    def form_added(self, step: ConvolveRows) -> Form:
        """Return the form of what a step adds."""
        # Float32, stored for the sum alone, takes longer than the products of bfloat16.
        others = self._alone.forms.get(step.add, [])
        return HALF if self._halves and all(form == HALF for form in others) else FLOAT

    def plan(self, step: RowStep, *, apart: bool = False) -> Plan:
        """Plan the forms of a step's value, see `Wanted.plan`."""
        key = step.out, apart or isinstance(step, AttendRows)
        if key not in self._plans:
            self._plans[key] = self._wanted.plan(step.out, apart=key[1])
        return self._plans[key]

    @property
    def values(self) -> list[str]:
        """Names of the values that it makes, in its order."""
        return [step.out for step in self._steps]

    def _width_of(self, step: RowStep) -> int:
        """Return the floats of a row of a step's value."""
        if isinstance(step, AttendRows):
            return round_channels(self._arrays[step.value_weight].shape[0])
        return self._layers[step.out].width

    def _check_kernel(self, step: ConvolveAround | ConvolveRows) -> None:
        shape, sides = self._arrays[step.weight].shape, (3,) if isinstance(step, ConvolveAround) else (1, 3)
        if len(shape) != 4 or shape[2] not in sides or shape[2] != shape[3]:
            allowed = " or ".join(f"{side}x{side}" for side in sides)
            raise ValueError(f"the layer {step.name} has weights {shape}, expected a kernel of {allowed}")

    def _check_inputs(self) -> None:
        for step in self._steps:
            if not isinstance(step, ConvolveRows):
                continue
            source, layer = self._makers[step.x], self._layers[step.out]
            if isinstance(source, AddResidual):
                raise ValueError(f"the layer {step.name} reads a sum in place of rows")
            if source.scale != step.scale or layer.inputs > self._widths[step.x]:
                raise ValueError(f"the layer {step.name} does not fit the rows of {source.name}")

    def _uses(self, step: RowStep) -> list[Use]:
        reads = self._reads(step)
        if isinstance(step, AddResidual):
            return [Use(reads, (step.out, FLOAT), -1)]
        if isinstance(step, ConvolveAround):
            lifted = Use((), reads[0], step.scale if reads[0][1] == FLOAT else (step.scale, "rounded"))
            return [lifted, *self.plan(step).list_uses(reads, step.out, step.scale)]
        if isinstance(step, ConvolveRows) and self._layers[step.out].tap_bias is not None:
            shares = (_shares(step), FLOAT)
            return [Use(reads, shares, step.scale), *self.plan(step).list_uses((shares,), step.out, step.scale)]
        # Four times as many values at the coarser scale stand in a buffer of the finer one.
        pool = step.scale - self.is_folded(step.out)
        replaced = None
        if isinstance(step, ConvolveRows) and step.add not in ("", step.x) and not self.is_folded(step.add):
            replaced = step.add, self.form_added(step)
        return self.plan(step).list_uses(reads, step.out, pool, replaced)

    def run(self, pool: ThreadPool, buffers: Buffers, inputs: Inputs, observe: Observe | None = None) -> bool:
        """Restore a window.

        Args:
            pool: threads that compute.
            buffers: what everything stands in.
            inputs: the window, and the place of the restored values.
            observe: called after each step; what it changes is what later steps read.

        Returns:
            Whether all restored values are finite.
        """
        return Run(self, pool, buffers, inputs, observe).run(self._steps)

    def layer(self, step: ConvolveAround | ConvolveRows) -> Layer:
        """Return a step's packed layer."""
        return self._layers[step.out]

    def describe(self, step: ConvolveAround | ConvolveRows) -> RowConvolution:
        """Describe what no picture changes of a step's convolution."""
        return RowConvolution.from_buffer_copy(self._calls[step.out])

    def take(self, buffers: Buffers, name: str, form: Form, rows: int, width: int) -> np.ndarray:
        """Return the buffer of a form, [1 + rows, width]."""
        array = buffers.take(self.buffer_of(name, form), (rows + 1) * width, self.library.types[form.kind])
        return array.reshape(rows + 1, width)

    def buffer_of(self, name: str, form: Form) -> Hashable:
        """Return the name of a form's buffer."""
        return ("row values", *self._places.get((name, form), (name, form)))

    def list_buffers(self) -> list[Hashable]:
        """List the names of all values' buffers."""
        return [("row values", *place) for place in set(self._places.values())]

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Arrays of the program by name."""
        return self._arrays

    def is_folded(self, name: str) -> bool:
        """Tell whether a value's rows hold 2x2 pixels each."""
        maker = self._makers.get(name)
        return isinstance(maker, ConvolveRows) and maker.folded

    def scale_of(self, name: str) -> int:
        """Return the scale of a value's rows."""
        maker = self._makers[name]
        return 0 if isinstance(maker, AddResidual) else maker.scale


def _lifted(step: ConvolveAround) -> str:
    return f"what {step.out} reads"


def _shares(step: ConvolveRows) -> str:
    return f"what the taps of {step.out} add up"


class Run:
    """Restoration of one window."""

    def __init__(
        self, owner: RowRestorer, pool: ThreadPool, buffers: Buffers, inputs: Inputs, observe: Observe | None
    ) -> None:
        self._owner, self._library, self._pool, self._buffers = owner, owner.library, pool, buffers
        self._inputs, self._observe = inputs, observe
        self._maker = SiteMaker(self._library, pool, buffers)
        self._sites = self._maker.make(inputs.mask, inputs.planes, owner.scales)
        self._values: dict[tuple[str, Form], np.ndarray] = {}
        self._is_finite = True

    def run(self, steps: tuple[RowStep, ...]) -> bool:
        """Run the steps, and tell whether the results are finite."""
        watch = self._owner.watch
        for step in steps:
            if watch is None:
                self._run_step(step)
            else:
                watch(step, partial(self._run_step, step))
        self._buffers.rest(self._owner.list_buffers())
        return self._is_finite

    def _run_step(self, step: RowStep) -> None:
        if isinstance(step, AddResidual):
            self._finish(step)
            return
        site, plan = self._sites[step.scale], self._owner.plan(step, apart=self._observe is not None)
        if isinstance(step, ConvolveAround):
            self._convolve_around(step, site, plan)
        elif isinstance(step, ConvolveRows):
            self._convolve(step, site, plan)
        else:
            self._attend(step, site)
        if self._observe is not None:
            self._show(step, site)
        for form in plan.later:
            floats = self._values[step.out, FLOAT]
            self._values[step.out, form] = self._take(step.out, form, site, floats.shape[1])
            rounded = self._values[step.out, form]
            round_values(self._library, self._pool, floats.reshape(-1), rounded, form)

    def _take(self, name: str, form: Form, site: Site, width: int) -> np.ndarray:
        return self._owner.take(self._buffers, name, form, site.rows.count, width)

    def _show(self, step: ConvolveAround | ConvolveRows | AttendRows, site: Site) -> None:
        rows = self._values[step.out, FLOAT][1:]
        if isinstance(step, ConvolveRows) and step.folded:  # back to channel 4 * c + position
            channels = self._owner.layer(step).channels
            rows = rows.reshape(len(rows), 4, -1)[:, :, :channels].transpose(0, 2, 1).reshape(len(rows), -1)
        assert self._observe is not None
        self._observe(step.name, step.out, rows, site)

    def _convolve_around(self, step: ConvolveAround, site: Site, plan: Plan) -> None:
        around, layer = self._maker.list_around(site), self._owner.layer(step)
        features = Map.of_planes(self._inputs.features[step.scale])
        if layer.inputs != _COLOURS + features.channels:
            raise ValueError(f"the layer {step.name} reads {layer.inputs} channels, not 3 and {features.channels}")
        width = round_channels(layer.inputs)
        lifted = self._owner.take(self._buffers, _lifted(step), layer.form, around.count, width)
        call = Lift(site.picture.ctypes.data, features.first)
        if step.modulated:
            context = self._inputs.context
            scale, shift = (np.ascontiguousarray(one[step.scale].reshape(-1)) for one in (context.scale, context.shift))
            call.scale, call.shift = scale.ctypes.data, shift.ctypes.data
        call.mask, call.place = site.mask.ctypes.data, around.place.ctypes.data
        if layer.form == FLOAT:
            call.to = describe_results(lifted.ctypes.data, None, None)
        else:
            call.to = describe_results(None, lifted, layer.form)
        call.rows, call.line, call.width = around.count, features.line, site.width
        call.channels, call.map_stride, call.stride = features.channels, features.stride, width
        self._library.call("lift_rows_f32", self._pool, call)
        convolution = self._describe(step, lifted, site)
        convolution.numbers, convolution.near = around.numbers.ctypes.data, None
        self._finish_convolution(step.out, layer, convolution, site, plan)

    def _convolve(self, step: ConvolveRows, site: Site, plan: Plan) -> None:
        layer = self._owner.layer(step)
        call = self._describe(step, self._values[step.x, layer.form], site)
        if layer.tap_bias is not None:
            self._sum_taps(step, call, layer.tap_bias, site)
            return
        call.relu = step.relu
        if step.add:
            form = self._owner.form_added(step)
            added = self._values[step.add, form]
            call.add_halves = form == HALF
            call.add = added.ctypes.data + added.strides[0]  # row 0 stands for no pixel
            if self._owner.is_folded(step.add):
                coarse = self._sites[self._owner.scale_of(step.add)]
                call.add_at = self._maker.find_parents(site, coarse).ctypes.data
        self._finish_convolution(step.out, layer, call, site, plan)

    def _sum_taps(self, step: ConvolveRows, product: RowConvolution, bias: np.ndarray, site: Site) -> None:
        layer, rows = self._owner.layer(step), site.rows
        shares = self._take(_shares(step), FLOAT, site, layer.outputs)
        product.to = describe_results(shares.ctypes.data, None, None)
        self._library.call(f"convolve_rows_{layer.form.kind}", self._pool, product)
        out = self._values[step.out, FLOAT] = self._take(step.out, FLOAT, site, layer.width)
        addresses = (shares, rows.numbers, rows.place, bias, out)
        call = RowTaps(*(array.ctypes.data for array in addresses), rows.count)
        call.x_stride, call.channels, call.wide = layer.outputs, layer.channels, site.wide
        self._library.call("sum_taps_f32", self._pool, call)

    def _describe(self, step: ConvolveAround | ConvolveRows, x: np.ndarray, site: Site) -> RowConvolution:
        call = self._owner.describe(step)
        call.x, call.rows, call.x_stride, call.wide = x.ctypes.data, site.rows.count, x.shape[1], site.wide
        call.numbers, call.place, call.near = site.rows.addresses
        return call

    def _finish_convolution(self, out: str, layer: Layer, call: RowConvolution, site: Site, plan: Plan) -> None:
        forms = ([FLOAT] if plan.floats else []) + ([plan.fused] if plan.fused is not None else [])
        for form in forms:
            self._values[out, form] = self._take(out, form, site, layer.width)
        floats = self._values[out, FLOAT].ctypes.data if plan.floats else None
        rounded = None if plan.fused is None else self._values[out, plan.fused]
        call.to = describe_results(floats, rounded, plan.fused)
        self._library.call(f"convolve_rows_{layer.form.kind}", self._pool, call)

    def _attend(self, step: AttendRows, site: Site) -> None:
        packed = pack_keys(self._library, *project_keys(step, self._owner.arrays, self._inputs.context))
        query = self._values[step.x, FLOAT]
        out = self._values[step.out, FLOAT] = self._take(step.out, FLOAT, site, packed.width)
        addresses = (query, packed.keys, packed.barred, packed.values, packed.zeros, out)
        call = RowAttention(*(array.ctypes.data for array in addresses), site.rows.count)
        call.stride, call.depth, call.scale = query.shape[1], packed.depth, step.factor
        call.keys_count, call.outputs = packed.count, packed.width
        self._library.call("attend_rows_f32", self._pool, call)

    def _finish(self, step: AddResidual) -> None:
        site, core, out = self._sites[0], self._inputs.core, self._inputs.out
        residual = self._values[step.x, FLOAT]
        addresses = (site.picture, residual, site.rows.place, out)
        call = Finish(*(array.ctypes.data for array in addresses), site.rows.count)
        call.size, call.next = (step // out.itemsize for step in out.strides[:2])
        call.width, call.stride = site.width, residual.shape[1]
        call.top, call.left, call.bottom, call.right = core.top, core.left, core.bottom, core.right
        self._is_finite = self._library.call("finish_planes_f32", self._pool, call) == 0
