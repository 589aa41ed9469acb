"""Choice between the kernels and ONNX Runtime.

It counts where a user names no backend.
"""

from __future__ import annotations

from ..bundle.precision import AUTO, TIMED_BACKEND, choose_precisions, choose_rows, compare_rows
from ..bundle.reader import DERIVED_FROM, PLAIN, Bundle
from ..errors import UserError
from ..tiling.planning import PathChoice
from ..tiling.spec import SpairNetwork
from ..tuning import load_tuning
from .library import load_library
from .opening import BACKEND, find_obstacle

FASTER_SETS = ("amx", "avx512bf16", "avx512vnni", "avx512", "avxvnni", "avx2")
"""Instruction sets with which the kernels are taken without a measurement on the machine; see docs/results/cpu-speed.md
for what was measured with each. With the others, `spair profile` has to find them faster first."""
REPEATS_WITHIN = 1.15
"""Factor within which times repeat on a shared machine; a smaller lead of ONNX Runtime does not outweigh what was timed
elsewhere."""


def refuse_kernels(bundle: Bundle, precision: str, *, threads: int | None, path: PathChoice) -> str | None:
    """Say why a bundle is left to ONNX Runtime.

    The kernels are loaded for that, which may compile them.

    Args:
        bundle: the bundle.
        precision: "auto" or a precision; the kernels are taken in "fp32", in which both give the same picture, in
            those of `DERIVED_FROM`, which they alone have, and in another where a calibration found them faster on this
            machine.
        threads: number of threads inside an operator; None takes all cores.
        path: "dense" is what ONNX Runtime alone computes.

    Returns:
        The reason as a part of a sentence; None where the kernels should run it.
    """
    chosen = choose_rows(bundle, threads) if precision == AUTO else precision
    if chosen in DERIVED_FROM or (precision == AUTO and chosen != PLAIN):
        return find_obstacle(bundle, DERIVED_FROM.get(chosen, chosen), path) or _try_loading()
    if precision == AUTO and isinstance(bundle.manifest.network, SpairNetwork):
        by_part = choose_precisions(bundle, bundle.manifest.graphs.get(PLAIN, ()), TIMED_BACKEND, threads)
        precision = next((one for one in by_part.values() if one != PLAIN), PLAIN)
    if precision not in (PLAIN, AUTO):
        return _refuse_lower(bundle, precision, threads) or find_obstacle(bundle, precision, path) or _try_loading()
    reason = find_obstacle(bundle, PLAIN, path) or _try_loading()
    if reason is not None:
        return reason
    costs = _read_costs(bundle, threads)
    if costs is None:
        return _refuse_untimed()
    kernels, graphs = costs
    if kernels <= graphs * (REPEATS_WITHIN if is_known_faster() else 1.0):
        return None
    more = 100 * (kernels / graphs - 1)
    return f"spair profile found the backend cpu slower here, by {more:.0f} % where all is distorted"


def _refuse_lower(bundle: Bundle, precision: str, threads: int | None) -> str | None:
    share = compare_rows(bundle, precision, threads)
    if share is None:
        return f"no calibration timed the backend cpu in {precision} on this machine"
    more = 100 * (share - 1)
    return f"a calibration found the backend cpu slower here in {precision}, by {more:.0f} %" if share > 1 else None


def refuse_machine() -> str | None:
    """Say why bundles are left to ONNX Runtime here.

    It is about bundles of which nothing was measured on this machine. The kernels are loaded for that, which may
    compile them.

    Returns:
        The reason as a part of a sentence; None where the kernels work and are known to be faster.
    """
    return _try_loading() or _refuse_untimed()


def _try_loading() -> str | None:
    try:
        load_library()
    except UserError as error:
        return str(error)
    return None


def _refuse_untimed() -> str | None:
    if is_known_faster():
        return None
    title = load_library().instructions.title
    return (
        f"the kernels for {title} were not yet timed against ONNX Runtime; spair profile MODEL --backend cpu finds out"
    )


def is_known_faster() -> bool:
    """Tell whether the kernels were timed elsewhere.

    It depends on the instruction set that they use on this processor.
    """
    return load_library().instructions.name in FASTER_SETS


def _read_costs(bundle: Bundle, threads: int | None) -> tuple[float, float] | None:
    """Read what a distorted pixel costs on each backend.

    Returns:
        Nanoseconds on each, in a window where all is distorted; None unless both were measured on this machine.
    """
    kernels = load_tuning(bundle, PLAIN, threads, backend=BACKEND)
    graphs = load_tuning(bundle, PLAIN, threads)
    if kernels is None or graphs is None:
        return None
    return kernels.window_ns + kernels.packed_ns, min(graphs.dense_ns, graphs.window_ns + graphs.packed_ns)
