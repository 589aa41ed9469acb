"""Pass that packs sparse operators into rows of pixels.

The packed graph has standard operators only, so stock ONNX Runtime spends its time on distorted pixels alone. For each
mask, the graph looks up the positions of the active pixels and the rows of their neighbours once, for all layers.
Activations stay packed, one row for each pixel, from the first layer of a scale to the last layer of the network. Only
the result is written back to full size.

These alternatives were measured on two cores of an AMD EPYC. `benchmarks.cpu.packings` repeats the comparison.

- Gathering all neighbours at once for one product is slower, because the gathered rows leave the cache. In blocks of
  1,024 rows (a Scan) a layer of 64 channels on 82,000 pixels takes 52 instead of 72 ms, and memory no longer grows with
  9 x C x pixels. Blocks of 256 to 2,048 rows differ by less than 5 %.
- Pixels are grouped by the columns of their neighbourhood that are entirely clean, and each group leaves out the
  weights of those columns. Net_R then takes 15 % less time on streaks at 10 %, 19 % less on lone pixels, and as much as
  before on blobs.
- Pairs by offset gather, multiply and scatter-add each of the nine neighbours in turn. Tiles send active 8x8 tiles
  through an ordinary convolution. One layer of 64 channels on streaks at 2 / 10 / 35 % of 512x512 takes 7 / 34 / 132 ms
  with pairs, 27 / 99 / 188 ms with tiles, and 11 / 25 / 77 ms with rows in blocks. On blobs it takes 8 / 39 / 138 ms
  with pairs, 6 / 34 / 102 ms with tiles, and 5 / 23 / 93 ms with rows. Pairs win only below about 5 % of thin streaks,
  where Net_L takes most of a picture's time. Tiles never win.
- Maps can be read value by value, or transposed first. The graph holds both, and the density decides at run time (see
  `spair.export.packed.sites.FEW`).
"""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import onnx

from ..operators.table import DOMAIN
from ..passes.base import GraphPass, PassError
from ..passes.graph import initializers_of
from ..passes.halves import StoreHalves, WidenHalves
from .layers import CONVOLUTIONS, check_packable
from .rewriting import PackingReport, Rewriting


class PackSparse(GraphPass[PackingReport]):
    """Pass that packs the `spair` operators of a graph.

    The pass takes calibrated graphs too. Halves are computed as float32 and stored as halves (see
    `spair.export.passes.halves`), and the rows that a SparseConv2dInt8 gathers are int8.

    Requires: the weights of every sparse convolution are initializers (float32, half or int8), its kernel is square
    with a side of 1, 3 or 5, and its padding keeps the size. The graph has no MaskedModulation, because its statistics
    need clean pixels: give them as inputs, as `SPAIR.restore_tile` does.
    Ensures: no node of the domain `spair` is left, and results equal the dense graph's up to the order of sums.
    """

    infers_types: ClassVar[bool] = True

    def requires(self, model: onnx.ModelProto) -> None:
        """Raise PassError for a node without a packed form."""
        stored = initializers_of(model.graph)
        for node in model.graph.node:
            if node.domain == DOMAIN and node.op_type in CONVOLUTIONS:
                check_packable(node, stored)
            elif node.domain == DOMAIN and node.op_type != "SparseNonLocal":
                raise PassError(f"{node.op_type} has no packed form; compute its statistics outside the graph")

    def rewrite(self, model: onnx.ModelProto) -> PackingReport:
        """Pack every sparse operator."""
        if not any(node.domain == DOMAIN for node in model.graph.node):
            return PackingReport(modified=False)
        halves = WidenHalves()(model).modified
        report = Rewriting(model).run()
        if halves:
            StoreHalves()(model)
        return report

    def ensures(self, model: onnx.ModelProto) -> None:
        """Raise PassError for a sparse operator that is left."""
        left = Counter(node.op_type for node in model.graph.node if node.domain == DOMAIN)
        if left:
            raise PassError(
                f"operators were not packed: {', '.join(f'{count} {name}' for name, count in left.items())}"
            )
