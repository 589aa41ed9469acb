"""Limit all contenders to an instruction set of older processors.

One machine then says what a processor without its newest instructions would give, with the same memory and clock.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import MappingProxyType
from unittest import mock

from benchmarks.peers.graphs import LIMIT
from spair.runtime import UserError
from spair.runtime.cpu.library import loading
from spair.runtime.cpu.library.sets import list_sets

ONEDNN = MappingProxyType(
    {
        "avx512bf16": "AVX512_CORE_BF16",
        "avx512vnni": "AVX512_CORE_VNNI",
        "avx512": "AVX512_CORE",
        "avxvnni": "AVX2_VNNI",
        "avx2": "AVX2",
    }
)
"""Names of oneDNN, which OpenVINO computes with, for its limit."""


@contextlib.contextmanager
def limit_instructions(name: str | None) -> Iterator[None]:
    """Limit kernels and OpenVINO to an instruction set.

    Those below it are allowed as well. OpenVINO must not have been loaded before, since it reads its limit once;
    opening it checks that it did. ONNX Runtime has no such limit. None limits nothing.

    Raises:
        UserError: oneDNN has no name for the set.
    """
    if name is None:
        yield
        return
    if name not in ONEDNN:
        raise UserError(f"--instructions is {name!r}, expected one of {', '.join(ONEDNN)}")
    names = [one.name for one in list_sets()]
    if name not in names:
        raise UserError(f"--instructions is {name!r}, which this architecture does not have; leave it out")
    allowed = list_sets()[names.index(name) :]
    with (
        mock.patch.dict(os.environ, {LIMIT: ONEDNN[name]}),
        mock.patch.dict(loading._LOADED, clear=True),
        mock.patch.object(loading, "list_sets", lambda: allowed),
    ):
        yield
