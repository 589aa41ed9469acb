"""Description of a foreign network by its user."""

from __future__ import annotations

import dataclasses

from ...runtime.errors import UserError
from ...runtime.tiling.geometry import round_up

RANGES = {"0..1": (1.0, 0.0), "-1..1": (0.5, 0.5), "0..255": (1.0 / 255.0, 0.0)}
"""Factor and summand that bring a range of values to 0..1, by the range's name."""
COLOURS = ("channels", "luma")
"""Ways in which a network of one channel restores a colour picture."""
PICTURE_CHANNELS = (1, 3)
"""Channels of the pictures that networks restore: gray and RGB."""


@dataclasses.dataclass(frozen=True)
class ForeignInterface:
    """Inputs, outputs and sizes of a foreign network."""

    inputs: tuple[tuple[str, int], ...] = (("image", 3),)
    """Name and channels of each input [N,C,H,W], in the order of the module's forward. The first one is the picture, of
    1 or 3 channels; the others need a value in `sides`."""
    outputs: tuple[str, ...] = ("restored",)
    """Names of the first outputs. Further outputs are called output_1, output_2 and so on."""
    multiple: int = 1
    """Number that must divide height and width inside, in pixels; the graph pads and crops."""
    min_size: int = 1
    """Smallest height and width that the module takes, in pixels; the graph repeats the edge of smaller pictures."""
    picture: str | int | None = None
    """Output that is the restored picture: a name of `outputs`, a key of the module's own dictionary, or a place among
    all tensors that it returns, from 0, or from -1 backwards. None takes the only one that can be it."""
    sides: tuple[tuple[str, float], ...] = ()
    """Name and value of inputs that are constant, such as a level of noise."""
    output_range: str | None = None
    """Range of the module's output, a key of `RANGES`; None measures it."""
    colour: str = "channels"
    """Way in which a network of one channel restores colours, one of `COLOURS`."""
    sizes: tuple[tuple[int, int], ...] = ()
    """Heights and widths in pixels that the network is exported for if it takes no free sizes."""

    def __post_init__(self) -> None:
        names = [name for name, _ in self.inputs] + list(self.outputs)
        if not self.inputs or len(set(names)) != len(names):
            raise UserError(f"inputs and outputs need at least one input and distinct names, got {', '.join(names)}")
        if min(self.multiple, self.min_size, *(channels for _, channels in self.inputs)) < 1:
            raise UserError("the multiple, the smallest size and every input's channels must be 1 or more")
        if self.output_range is not None and self.output_range not in RANGES:
            raise UserError(f"the output range is {self.output_range!r}, expected one of {', '.join(RANGES)}")
        if self.colour not in COLOURS:
            raise UserError(f"the colour is {self.colour!r}, expected one of {', '.join(COLOURS)}")
        self._check_inputs()
        for size in self.sizes:
            if min(size) < 1 or any(side % self.multiple for side in size):
                raise UserError(
                    f"the size {size[0]}x{size[1]} is no multiple of {self.multiple} pixels; "
                    "give heights and widths that --multiple divides"
                )

    def _check_inputs(self) -> None:
        (name, channels), *others = self.inputs
        valued = {side for side, _ in self.sides}
        if name in valued:
            raise UserError(f"the input {name!r} is the picture, which has no constant value; leave that out")
        without = [other for other, _ in others if other not in valued]
        if without:
            raise UserError(
                f"the network takes {', '.join((name, *without))}, and only one picture can be restored; "
                f"give the other inputs a constant value, for example --side-input {without[0]}=0.1"
            )
        if channels not in PICTURE_CHANNELS:
            raise UserError(
                f"the input {name!r} has {channels} channels, expected 3 (RGB) or 1 (gray), as pictures have; wrap the "
                "network in a factory whose forward makes the other channels of the picture"
            )

    @property
    def channels(self) -> int:
        """Channels of the picture."""
        return self.inputs[0][1]

    @property
    def smallest(self) -> int:
        """Smallest side in pixels that the module ever gets."""
        return round_up(self.min_size, self.multiple)

    @property
    def pads(self) -> bool:
        """Whether the graph pads and crops.

        Every output must then have the inputs' size.
        """
        return self.smallest > 1
