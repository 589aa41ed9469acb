"""Safe reading of what torch.save wrote.

PyTorch's restricted reader runs none of a file's code. Trainers put more than weights into their files, so the classes
that they commonly leave there are taken too. Empty stand-ins replace them, since only the weights are wanted.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError


class StandIn:
    """Empty object in the place of one beside weights."""

    def __new__(cls, *arguments: Any) -> StandIn:
        """Make the object whatever it is made of."""
        return super().__new__(cls)

    def __init__(self, *arguments: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        """Drop the state that the file gives."""


def _make_mapping(*arguments: Any) -> dict[Any, Any]:
    """Make the empty dictionary that a file then fills."""
    return {}


_INERT = (
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *(f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")),
    "numpy.ndarray",
    "numpy.dtype",
    *(f"numpy.{kind}{bits}" for kind in ("float", "int", "uint") for bits in (16, 32, 64)),
    *(f"numpy.dtypes.{kind}{bits}DType" for kind in ("Float", "Int", "UInt") for bits in (8, 16, 32, 64)),
    *("numpy.float64", "numpy.bool_", "numpy.bool", "numpy.dtypes.BoolDType", "numpy.dtypes.ObjectDType"),
    *(f"numpy.random._pickle.__{kind}_ctor" for kind in ("randomstate", "generator", "bit_generator")),
    *(f"numpy.random.{name}" for name in ("_mt19937.MT19937", "_pcg64.PCG64", "bit_generator.SeedSequence")),
    *(
        f"pathlib{module}.{name}"
        for module in ("", "._local")
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path", "PurePath")
    ),
    *("argparse.Namespace", "types.SimpleNamespace"),
    *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta", "timezone")),
    *("uuid.UUID", "decimal.Decimal", "fractions.Fraction", "collections.deque", "random.Random"),
    *(f"builtins.{name}" for name in ("list", "dict", "int", "float", "str", "bool", "tuple", "set", "slice", "range")),
    *("typing.Any", "omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata", "omegaconf.base.SCMode"),
    *("omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig"),
    *(f"omegaconf.nodes.{name}Node" for name in ("Any", "Boolean", "Float", "Integer", "String", "Path", "Bytes")),
    "mmengine.logging.history_buffer.HistoryBuffer",
    *(
        f"{package}.callbacks.{name}"
        for package in ("pytorch_lightning", "lightning.pytorch")
        for name in ("model_checkpoint.ModelCheckpoint", "early_stopping.EarlyStopping")
    ),
)
"""Classes and functions beside the weights whose values nobody needs."""
_MAPPINGS = (
    *("easydict.EasyDict", "addict.addict.Dict", "yacs.config.CfgNode", "munch.Munch"),
    *("mmengine.config.config.ConfigDict", "mmcv.utils.config.ConfigDict", "torch.nn.modules.container.ParameterDict"),
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
)
"""Classes derived from dict, which may hold the weights."""
_NAMED = re.compile(r"GLOBAL ([\w.]+)")
"""Class in a message of PyTorch's reader."""


def read_pickle(path: Path) -> Any:
    """Read a file of torch.save without running its code.

    Args:
        path: an archive or a file of the older form.

    Returns:
        The content: mappings, lists, tensors on the CPU and plain values; stand-ins for objects of the classes that
        trainers leave beside the weights.

    Raises:
        CheckpointError: the file is truncated or damaged, or holds an object of a class that is not on the list.
    """
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_list_allowed()):
            warnings.simplefilter(
                "ignore"
            )  # torch warns of unusual pickles; the checks of callers refuse unusable ones
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_describe_refusal(path, str(error))) from error
    except Exception as error:  # a damaged file makes PyTorch's readers raise almost any type
        raise CheckpointError(f"{path} is truncated or not a PyTorch checkpoint; copy or download it again") from error


def _list_allowed() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    return [
        *((StandIn, name) for name in _INERT),
        *((OrderedDict, name) for name in _MAPPINGS),
        (_make_mapping, "collections.defaultdict"),
    ]


def _describe_refusal(path: Path, words: str) -> str:
    if "legacy .tar format" in words:
        return f"{path} is in the tar form of PyTorch before 0.1.10; load and save it again with torch.save"
    named = _NAMED.search(words)
    if named is None:
        return (
            f"{path} is not a plain state dict (it holds a pickled module, or is not a PyTorch file) and is not "
            "executed; save model.state_dict() instead"
        )
    return (
        f"{path} is not a plain state dict: it holds a pickled module or another object of the class {named[1]}, which "
        "is code and not executed; save model.state_dict() instead"
    )
