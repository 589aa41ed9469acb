"""Building and checking of a target's plugin library.

`spair build` makes the library and its report here, or takes a library that was made before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PluginError
from .kernels.compilation import Progress, Settings, compile_target
from .kernels.variants import Variant, list_variants
from .library.autoload import AUTOLOAD, build_autoload
from .library.embedding import Label, read_label
from .library.linking import build_library, find_toolchain, library_abi, library_label, library_version
from .library.symbols import check_symbols
from .report import resource_report
from .targets import FIRST_SPECIFIC, Target, newest_ptx


@dataclass(frozen=True)
class Build:
    """Plugin library in memory."""

    label: Label
    library: bytes
    """Content of libspair_plugins.so."""
    autoload: bytes | None
    """Content of libspair_plugins_autoload.so; None for a library that came as a file without it."""
    report: dict[str, Any] | None
    """Report of `resource_report`; None for a library that came as a file."""


def build_plugins(
    target: Target,
    settings: Settings,
    *,
    variants: Callable[[int], Sequence[Variant]] = list_variants,
    progress: Progress = lambda step: None,
) -> Build:
    """Compile the kernels and the library of a target.

    Nothing is written but the cache.

    Raises:
        PluginError: see `compile_target` and `build_library`.
    """
    tools = find_toolchain(target)  # a missing compiler fails here, before minutes of compiling kernels
    kernels = compile_target(target, settings, variants=variants, progress=progress)
    library = build_library(target, kernels, settings, progress=progress)
    label = library_label(target, tools)
    return Build(label, library, build_autoload(target, settings), resource_report(label, kernels))


def take_library(path: Path, target: Target) -> Build:
    """Read a library from a file and check it.

    The target has to be able to use it with this version of spair-rt. The library that registers it is taken along
    where it lies beside it.

    Raises:
        PluginError: the file is no library of spair-rt; its version, ABI or processor is another one; it has no kernels
            for an architecture of the target; or the target's drivers do not read its code.
    """
    label, version, abi = read_label(path), library_version(), library_abi()
    remedy = f"make one with spair build --target {target.name}"
    if (label.version, label.abi) != (version, abi):
        raise PluginError(
            f"the plugin library {path} is of spair-rt {label.version} with ABI {label.abi}, expected "
            f"{version} with ABI {abi}; {remedy}"
        )
    if label.machine != target.machine:
        raise PluginError(
            f"the plugin library {path} is for {label.machine}, {target.name} has {target.machine}; {remedy}"
        )
    for architecture in target.architectures:
        if not has_code(label, architecture):
            raise PluginError(
                f"the plugin library {path} has no kernels for sm_{architecture} of {target.name}: "
                f"it was built for {label}; {remedy}"
            )
        if is_too_new(label, architecture, target.cuda):
            raise PluginError(
                f"the plugin library {path} was built for drivers of CUDA {label.cuda[0]}.{label.cuda[1]}, the drivers "
                f"of {target.name} may be of CUDA {target.cuda[0]}.{target.cuda[1]} and not read its code; {remedy}"
            )
    check_symbols(path, target)
    autoload = path.with_name(AUTOLOAD)
    if autoload.is_file():
        check_symbols(autoload, target, ())
    return Build(label, path.read_bytes(), autoload.read_bytes() if autoload.is_file() else None, None)


def has_code(label: Label, architecture: int) -> bool:
    """Tell whether GPUs of an architecture run the library.

    They run its machine code for them or for their major version, or its PTX.
    """
    return _has_machine_code(label, architecture) or label.fallback <= architecture


def is_too_new(label: Label, architecture: int, cuda: tuple[int, int]) -> bool:
    """Tell whether drivers refuse the library's code for an architecture.

    Machine code loads on every driver of its major CUDA version (CUDA minor version compatibility). PTX loads on
    drivers that know its PTX version.
    """
    if _has_machine_code(label, architecture):
        return label.cuda[0] > cuda[0]
    return newest_ptx(label.cuda) > newest_ptx(cuda)


def _has_machine_code(label: Label, architecture: int) -> bool:
    return architecture in label.architectures or any(
        own // 10 == architecture // 10 and own < architecture and own < FIRST_SPECIFIC for own in label.architectures
    )
