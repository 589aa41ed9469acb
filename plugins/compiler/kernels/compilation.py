"""Compilation of a target's kernels, with cache and rules."""

from __future__ import annotations

import base64
import importlib.metadata
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import PluginError
from ..assembly.counts import count_tile
from ..assembly.listing import disassemble
from ..cache import Cache, hash_files, make_key
from ..targets import Target, specific_name
from ..tools import Assembler, choose_assembler, choose_ptx, find_assemblers
from .byte_stores import find_float_bytes
from .kernel import Kernel, find_violations, read_resources
from .sources import list_sources
from .tiles import Tiling
from .variants import Variant, list_variants
from .workers import Workers

Progress = Callable[[str], None]
"""Callback that receives a few words after each step."""


class RuleError(PluginError):
    """Refusal of a kernel that compiles but breaks a rule.

    It spills registers, leaves the tensor cores idle, or contains what ptxas would get wrong; `find_violations` and
    `refuse_float_bytes` have the rules.
    """

    exit_code = 1
    http_status = 500


@dataclass(frozen=True)
class Settings:
    """Number of processes and cache for compiling."""

    jobs: int = 1
    """Number of processes side by side."""
    cache: Cache = field(default_factory=Cache)


@dataclass(frozen=True)
class _Task:
    """Variant to compile for one architecture."""

    variant: Variant
    architecture: int
    assembler: Assembler
    ptx: tuple[int, int]
    sources: str
    """Hash of the kernel's sources and of Triton's version."""


def compile_target(
    target: Target,
    settings: Settings,
    *,
    variants: Callable[[int], Sequence[Variant]] = list_variants,
    progress: Progress = lambda step: None,
) -> tuple[Kernel, ...]:
    """Compile every kernel for all architectures of a target.

    The target's fallback is compiled as well.

    Args:
        target: machine to compile for.
        settings: number of processes, and the cache.
        variants: function that lists the kernels of an architecture.
        progress: called with a few words after each kernel.

    Raises:
        PluginError: Triton or a ptxas is missing, or a kernel does not compile.
        RuleError: no tiling of a kernel keeps the rules, and the kernel is not optional; the message says what the last
            one breaks. Or a kernel stores a byte of a floating-point number (see `find_float_bytes`), with whatever
            tiling.
    """
    tasks = list(_list_tasks(target, variants))
    done = itertools.count(1)

    def compile_one(task: _Task) -> tuple[_Task, Kernel | None]:
        return task, _compile(task, settings.cache, workers)

    def finish(result: tuple[_Task, Kernel | None]) -> None:
        task, _ = result
        name = f"{task.variant.name} for sm_{task.architecture}"
        progress(f"compiling kernels {next(done)}/{len(tasks)}: {name}")

    with Workers(settings.jobs) as workers:
        results = workers.map(compile_one, tasks, finish)
    return tuple(kernel for _, kernel in results if kernel is not None)


def _list_tasks(target: Target, variants: Callable[[int], Sequence[Variant]]) -> Iterator[_Task]:
    found = find_assemblers()
    version = importlib.metadata.version("triton")
    hashes: dict[str, str] = {}
    for architecture in sorted({*target.architectures, target.fallback}):
        assembler = choose_assembler(architecture, target.cuda, found)
        ptx = choose_ptx(target.cuda, assembler)
        for variant in variants(architecture):
            if variant.optional and architecture not in target.architectures:
                continue  # GPUs that compile PTX take the first choice
            if variant.module not in hashes:
                hashes[variant.module] = make_key({"triton": version, **_hash_sources(variant.module)})
            yield _Task(variant, architecture, assembler, ptx, hashes[variant.module])


def _hash_sources(module: str) -> dict[str, str]:
    return hash_files({**list_sources(module), "worker": Path(__file__).with_name("worker.py")})


def _compile(task: _Task, cache: Cache, workers: Workers) -> Kernel | None:
    """Compile the first tiling that keeps the rules.

    None stands for an optional kernel without such a tiling.
    """
    problems: list[str] = []
    for tiling in task.variant.tilings:
        kernel = _compile_tiling(task, tiling, cache, workers)
        refuse_float_bytes(kernel)
        problems = find_violations(kernel, task.variant, task.ptx)
        if not problems:
            return kernel
    if task.variant.optional:
        return None
    tile = " × ".join(str(size) for size in task.variant.tilings[-1].sizes)
    raise RuleError(
        f"the kernel {task.variant.name} for sm_{task.architecture} with the tile {tile} {' and '.join(problems)}; "
        "give it a smaller one in plugins/compiler/kernels/tiles.py"
    )


def refuse_float_bytes(kernel: Kernel) -> None:
    """Refuse a kernel whose byte stores ptxas would get wrong.

    ptxas would compute another thing than the PTX says. A smaller tile is no remedy, and no test without a GPU would
    find it.

    Raises:
        RuleError: the kernel stores a byte of a floating-point number, see `find_float_bytes`.
    """
    stores = find_float_bytes(kernel.ptx)
    if stores:
        raise RuleError(
            f"the kernel {kernel.name} for sm_{kernel.architecture} stores bytes of floating-point numbers "
            f"({len(stores)}, the first by {stores[0]}), which ptxas turns into a conversion of their values; let an "
            "integer operation make the byte, as quantize does in plugins/sparse_conv2d/kernel.py"
        )


def _compile_tiling(task: _Task, tiling: Tiling, cache: Cache, workers: Workers) -> Kernel:
    variant = task.variant
    job = {
        "module": variant.module,
        "function": variant.function,
        "parameters": dict(variant.parameters),
        "constants": {**variant.layouts, **tiling.constants},
        "aligned": variant.aligned,
        "warps": tiling.warps,
        "stages": tiling.stages,
        "architecture": task.architecture,
        "name": specific_name(task.architecture),
        "ptx": task.ptx[0] * 10 + task.ptx[1],
    }
    key = make_key({**job, "sources": task.sources, "ptxas": task.assembler.release})
    kept = cache.load(key)
    answer = _unpack(kept) if kept else None
    if answer is None:
        answer = workers.run({**job, "ptxas": task.assembler.path})
        cache.store(key, _pack(answer))
    code = base64.b64decode(answer["code"])
    work = variant.work(tiling)
    return Kernel(
        name=variant.name,
        architecture=task.architecture,
        tile=tiling.sizes,
        code=code,
        ptx=answer["ptx"],
        symbol=answer["symbol"],
        warps=answer["warps"],
        shared=answer["shared"],
        scratch=answer["scratch"],
        cuda=task.assembler.release,
        count=None if work is None else count_tile(disassemble(code), work, answer["warps"]),
        **read_resources(answer["log"]),
    )


def _pack(answer: dict[str, Any]) -> dict[str, bytes]:
    return {"answer.json": json.dumps(answer).encode()}


def _unpack(parts: dict[str, bytes]) -> dict[str, Any] | None:
    return json.loads(parts["answer.json"]) if "answer.json" in parts else None
