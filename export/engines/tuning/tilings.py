"""Tilings of layers in a library and in a graph."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import onnx
from onnx import helper

from ....plugins.compiler.kernels.variants import Layer
from ...counts.layers import find_layers

ATTRIBUTE = "tiling"
"""Attribute of a sparse convolution: name of the tiling that its plugin takes if the library has it. Function bodies
ignore it."""
_KERNEL = re.compile(rb"\0(convolve_layer\.[a-z0-9_.]+)\.(m\d+n\d+w\d+s\d+)\0")
"""Names of alternatives as the table of a library has them."""
Tilings = Mapping[str, str]
"""Name of a tiling by the name of the layer, see `name_layer`; layers that are absent keep the first choice."""
NO_TILINGS: Tilings = MappingProxyType({})


def name_layer(layer: Layer) -> str:
    """Return the name of a layer's kernel."""
    return ".".join(("convolve_layer", *layer.parts))


def list_alternatives(library: bytes) -> dict[str, list[str]]:
    """List a library's alternatives to the first choice.

    Args:
        library: content of libspair_plugins.so.

    Returns:
        Names of tilings by the layer's name, in ascending order.
    """
    found: dict[str, set[str]] = {}
    for match in re.finditer(rb"(?=" + _KERNEL.pattern + rb")", library):  # two names share the NUL between them
        layer, tiling = (part.decode() for part in match.groups())
        found.setdefault(layer, set()).add(tiling)
    return {layer: sorted(tilings) for layer, tilings in found.items()}


def set_tilings(model: onnx.ModelProto, tilings: Tilings) -> None:
    """Give the layers of a graph their tilings, in place."""
    for node, layer in find_layers(model):
        kept = [attribute for attribute in node.attribute if attribute.name != ATTRIBUTE]
        del node.attribute[:]
        node.attribute.extend(kept)
        chosen = tilings.get(name_layer(layer))
        if chosen is not None:
            node.attribute.append(helper.make_attribute(ATTRIBUTE, chosen))


def name_nodes(model: onnx.ModelProto, layers: Iterable[str]) -> dict[str, str]:
    """Return the name of each node's layer.

    Nodes of other layers are absent.
    """
    wanted = set(layers)
    named = {node.name: name_layer(layer) for node, layer in find_layers(model)}
    return {node: layer for node, layer in named.items() if layer in wanted}
