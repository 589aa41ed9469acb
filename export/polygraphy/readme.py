"""Page on the files for Polygraphy."""

from __future__ import annotations

from typing import Any

_TEXT = """\
# Files for Polygraphy

Everything here is for NVIDIA's Polygraphy, unmodified, 0.53 or later (`pip install polygraphy onnx onnxruntime
onnx_graphsurgeon`); nothing needs the package spair-rt.

| file | what it is |
|---|---|
| `commands-TARGET.txt` | command lines for the engines of a target |
| `engines/`, `plugins/` | engines, and for each target its plugin library with the one that registers it |
| `graphs/PRECISION.onnx` | the graph that the engine was built from, with function bodies: ONNX Runtime runs it |
| `graphs/PRECISION.plugins.onnx` | the same without function bodies, for TensorRT |
| `graphs/PRECISION.layers.onnx` | the same, whose plugins write all pixels, for comparisons of inner tensors |
| `inputs.json` | pictures for `--load-inputs` |
| `small.json` | one small picture for comparisons of every tensor |
| `loader.py`, `inputs.npz` | the pictures for `--data-loader-script loader.py` |

**Give TensorRT a graph without function bodies.** Where it has bodies and the plugins are not registered, TensorRT
builds a dense engine from them and says nothing. Without bodies it refuses the graph ("Plugin not found").

**Engines and plugin libraries are code.** They run with your rights, and Polygraphy lets an engine bring code for the
processor along. Run only those whose origin you know.

The input `image` and the output `restored` are [N, H, W, 3] uint8 RGB. `mask` is [N, H, W] uint8, 1 at distorted
pixels. `total` [N] float32 is the sum of the magnitudes of `restored`, which is finite only if all values are.

## Pictures

Take these or your own photographs, and no random noise: in noise the network finds nearly every pixel distorted.

{pictures}

## Thresholds

An engine may differ from ONNX Runtime twice as much as rounding makes ONNX Runtime differ from itself: for fp32 on the
picture with noise of 0.0001, for a lower precision from fp32. The last column is the PSNR of `restored` by that alone.
`total` misses its threshold only where a value is not finite.

{thresholds}
"""


def format_readme(report: dict[str, Any]) -> str:
    """Write the page.

    Args:
        report: see `write_polygraphy`.
    """
    pictures = ["| size | distorted pixels, fp32 |", "|---|---|"]
    pictures += [f"| {one['width']}x{one['height']} | {one['masked']:.1%} |" for one in report["pictures"]]
    names = ("restored", "mask", "total", "natural")
    thresholds = ["| precision | `restored` | `mask` | `total` | rounding |", "|---|---|---|---|---|"]
    thresholds += [
        f"| {precision} | " + " | ".join(f"{values[name]:.1f} dB" for name in names) + " |"
        for precision, values in report["thresholds"].items()
    ]
    return _TEXT.format(pictures="\n".join(pictures), thresholds="\n".join(thresholds))
