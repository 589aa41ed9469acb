"""Instruction sets by architecture and by processor."""

import pytest

from spair.runtime.cpu.library import sets
from spair.runtime.cpu.library.sets import AVX2, AVX512_BF16, SSE2, list_local_sets, list_sets

X86 = ["amx", "avx512bf16", "avx512vnni", "avx512", "avxvnni", "avx2", "sse2"]
ARM = ["neonbf16", "neondot", "neon"]


@pytest.mark.parametrize(
    ("machine", "names"), [("x86_64", X86), ("AMD64", X86), ("aarch64", ARM), ("arm64", ARM), ("riscv64", ["plain"])]
)
def test_the_best_comes_first(machine, names):
    assert [one.name for one in list_sets(machine)] == names


def test_this_machine_has_one():
    assert list_local_sets() and set(list_local_sets()) <= set(list_sets())


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu sse2 fma avx2 bmi\n", (AVX2, SSE2)),
        ("flags: sse2 avx2\n", (SSE2,)),
        (f"flags: {' '.join(AVX512_BF16.features)} avx2\n", None),
        ("", sets._BY_MACHINE["x86_64"]),
    ],
)
def test_only_what_the_processor_has_is_compiled_for_it(monkeypatch, tmp_path, listing, expected):
    monkeypatch.setattr(sets.platform, "machine", lambda: "x86_64")
    (tmp_path / "cpuinfo").write_text(listing)
    found = list_local_sets(tmp_path / "cpuinfo")
    assert found == expected if expected else [one.name for one in found] == [*X86[1:4], *X86[5:]]
    assert list_local_sets(tmp_path / "absent") == list_sets("x86_64")
