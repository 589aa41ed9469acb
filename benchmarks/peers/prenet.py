"""PReNet, a deraining network with published checkpoints.

`spair export CKPT --factory benchmarks.peers.prenet:prenet` takes it from the repository root.
"""

from spair.export.catalogue.prenet import PReNet


def prenet() -> PReNet:
    """Make PReNet, whose residual blocks have their own weights.

    It has five residual blocks, and 168,963 parameters in 32 tensors.
    """
    return PReNet(shared=False)


def prenet_r() -> PReNet:
    """Make PReNet_r, whose residual blocks share their weights.

    It has 94,979 parameters in 16 tensors.
    """
    return PReNet(shared=True)
