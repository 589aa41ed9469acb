"""Three sparse operators in PyTorch and their export to ONNX.

Each operator becomes one ONNX node on export. All masks are float [N,1,H,W] and hold exactly 0 (clean) or 1
(distorted). `spair.plugins.<operator>.reference` defines each operator; the tests compare this file and the ONNX
function bodies with that definition.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MODULATION_EPS = 1e-5
"""Constant added to both variances of the spatial feature modulator, so that flat pixels have a finite scale."""

PLUGIN_ATTRIBUTES = {"plugin_version": "1", "plugin_namespace": "spair"}
"""Attributes that make TensorRT's parser look for a plugin before it looks for the function body of a node."""


def _node(operator: str, inputs: tuple[Tensor, ...], attributes: dict[str, Any], shape: tuple[Any, ...]) -> Tensor:
    """Emit one `spair` node of the exported graph.

    The node states every attribute, because parsers know no default values.
    """
    return torch.onnx.ops.symbolic(
        f"spair::{operator}",
        inputs,
        {**attributes, **PLUGIN_ATTRIBUTES},
        dtype=inputs[0].dtype,
        shape=shape,
        version=1,
    )


def sparse_conv2d(
    x: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    negative_slope: float = 1.0,
    clean_input: bool = False,
    masked_input: bool = False,
) -> Tensor:
    """Convolve distorted pixels only.

    This is equation (1) of SPAIR (ICCV 2021):
    `out[p] = act(bias + sum_k weight[k] x[p+k] M[p+k])` where M[p] = 1, and 0 elsewhere.

    Args:
        x: features [N,C,H,W], any float dtype.
        mask: [N,1,H,W], 0 or 1.
        weight: [D,C,k,k], k odd; stride 1, zero padding (k-1)/2, one group.
        bias: [D].
        negative_slope: slope of the activation below zero; 0 is ReLU, 1 is no activation.
        clean_input: read clean neighbours too, as the first layer of a scale does; the output stays masked.
        masked_input: x is already zero at clean pixels, so PyTorch need not multiply it by the mask again. This saves
            one pass over memory and changes neither the result nor the exported node.

    Returns:
        [N,D,H,W], zero at clean pixels. An empty mask gives zeros.
    """
    padding = weight.shape[-1] // 2
    if torch.onnx.is_in_onnx_export():
        attributes = {
            "pads": [padding] * 4,
            "negative_slope": float(negative_slope),
            "clean_input": float(clean_input),
        }
        shape = (x.shape[0], weight.shape[0], x.shape[2], x.shape[3])
        return _node("SparseConv2d", (x, mask, weight, bias), attributes, shape)
    # The mask takes the type of the other factor: under autocast, a float32 mask would turn each product into float32.
    y = F.conv2d(x if clean_input or masked_input else x * mask.to(x.dtype), weight, bias, padding=padding)
    if negative_slope != 1.0:
        y = F.leaky_relu(y, negative_slope) if negative_slope else F.relu(y)
    return y * mask.to(y.dtype)


def masked_modulation(x: Tensor, mask: Tensor, *, eps: float = MODULATION_EPS) -> Tensor:
    """Give distorted pixels the mean and variance of clean ones.

    This is the spatial feature modulator; it works per channel and image:
    `out = (x - mean1) / sqrt(var1 + eps) * sqrt(var0 + eps) + mean0` where M = 1, with mean0, var0 over M = 0 and
    mean1, var1 over M = 1 (biased variances); `out = x` where M = 0, and everywhere if either set is empty.

    Args:
        x: features [N,C,H,W].
        mask: [N,1,H,W], 0 or 1.
        eps: constant added to both variances.

    Returns:
        [N,C,H,W].
    """
    if torch.onnx.is_in_onnx_export():
        return _node("MaskedModulation", (x, mask), {"eps": float(eps)}, tuple(x.shape))
    mean0, var0, count0 = _moments(x, 1.0 - mask)
    mean1, var1, count1 = _moments(x, mask)
    both = ((count0 > 0) & (count1 > 0)).to(x.dtype)
    scale = torch.sqrt((var0 + eps) / (var1 + eps)) * both + (1.0 - both)
    shift = (mean0 - mean1 * scale) * both
    return affine_at_mask(x, mask, scale, shift)


def affine_at_mask(x: Tensor, mask: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Scale and shift the pixels whose mask is 1.

    Args:
        x: [N,C,H,W].
        mask: [N,1,H,W], 0 or 1.
        scale: [N,C,1,1].
        shift: [N,C,1,1].

    Returns:
        [N,C,H,W], `x * scale + shift` where the mask is 1 and `x` elsewhere.
    """
    return x + mask * (x * (scale - 1.0) + shift)


def _moments(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    count = weight.sum((2, 3), keepdim=True)
    total = count.clamp(min=1.0)
    mean = (x * weight).sum((2, 3), keepdim=True) / total
    centred = (x - mean) * weight
    return mean, (centred * centred).sum((2, 3), keepdim=True) / total, count


def sparse_non_local(query: Tensor, key: Tensor, value: Tensor, query_mask: Tensor, key_mask: Tensor) -> Tensor:
    """Compute attention from distorted pixels to clean keys.

    The softmax is exact and runs over every key whose key_mask is 1:
    `out[p] = sum_j softmax_j(query[p] . key[j] / sqrt(C)) value[j]` where query_mask[p] = 1, and 0 elsewhere.

    Args:
        query: [N,C,H,W].
        key: [N,C,K,L]; K and L may differ from H and W.
        value: [N,D,K,L].
        query_mask: [N,1,H,W], 1 at distorted pixels.
        key_mask: [N,1,K,L], 1 at clean keys.

    Returns:
        [N,D,H,W]; an image without a clean key gives zeros.
    """
    scale = float(query.shape[1]) ** -0.5
    if torch.onnx.is_in_onnx_export():
        shape = (query.shape[0], value.shape[1], query.shape[2], query.shape[3])
        return _node("SparseNonLocal", (query, key, value, query_mask, key_mask), {"scale": scale}, shape)
    flat_mask = key_mask.flatten(2)  # [N,1,J]
    scores = query.flatten(2).transpose(1, 2) @ key.flatten(2) * scale  # [N,P,J]
    weights = torch.softmax(scores.masked_fill(flat_mask == 0, -1e4), dim=-1) * flat_mask
    out = (weights @ value.flatten(2).transpose(1, 2)).transpose(1, 2)  # [N,D,P]
    return out.reshape(query.shape[0], value.shape[1], query.shape[2], query.shape[3]) * query_mask


class SparseConv2d(nn.Module):
    """Module that holds the weights of a `sparse_conv2d`.

    The weights are initialised for the activation that follows. With `masked_input`, x must be zero at clean pixels,
    as the output of another sparse convolution is.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        relu: bool = False,
        clean_input: bool = False,
        masked_input: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.negative_slope = 0.0 if relu else 1.0
        self.clean_input, self.masked_input = clean_input, masked_input
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu" if relu else "linear")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map x [N,C,H,W] and mask [N,1,H,W] to [N,D,H,W]."""
        return sparse_conv2d(
            x,
            mask,
            self.weight,
            self.bias,
            negative_slope=self.negative_slope,
            clean_input=self.clean_input,
            masked_input=self.masked_input,
        )
