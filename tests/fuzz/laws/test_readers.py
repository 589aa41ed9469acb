"""Every reader answers a changed file with the product's own errors or reads it, in bounded time and memory.

The default run is short. `make fuzz N=100000` sets $SPAIR_FUZZ, and each kind of files gets that many cases in a
process of its own. Files that failed once lie in `tests/fuzz/seeds`, named after their kind.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.readers import KINDS, Kind, try_case

SEEDS = Path(__file__).resolve().parents[1] / "seeds"
ROOT = Path(__file__).resolve().parents[3]
MANY = int(os.environ.get("SPAIR_FUZZ", "0"))
CASES = {"manifests": 50, "pictures": 80, "configurations": 60, "sidecars": 60, "caches": 50, "checkpoints": 8}
"""Cases in the suite by kind. Graphs are not among them, since their nodes decide what ONNX Runtime does."""
FEW_GRAPHS = 15


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPAIR_CACHE", str(tmp_path_factory.mktemp("fuzz")))
        yield


@pytest.mark.parametrize("name", CASES)
def test_changed_files_are_read_or_refused_in_a_sentence(name, tmp_path):
    kind = KINDS[name]
    good = kind.make()
    outcomes = set()

    @settings(
        max_examples=CASES[name],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def check(chance):
        outcomes.add(try_case(kind, kind.mutate(chance.choice(good), chance), tmp_path / "a"))

    check()
    assert ("read" if name == "caches" else "refused") in outcomes  # a damaged cache counts as absent


def test_changed_graphs_are_run_or_refused_in_a_sentence(tmp_path):
    kind = KINDS["graphs"]
    good = kind.make()
    chances = [random.Random(number) for number in range(FEW_GRAPHS)]
    outcomes = {try_case(kind, kind.mutate(chance.choice(good), chance), tmp_path / "a") for chance in chances}
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("name", KINDS)
def test_good_files_are_read(name, tmp_path):
    """Else the cases would be refused for another reason than their change."""
    kind = KINDS[name]
    outcomes = [try_case(kind, data, tmp_path / "a") for data in kind.make()]
    # Few weights are enough to try PyTorch's readers, and a key is no row program.
    assert outcomes.count("read") >= {"checkpoints": 1, "sidecars": 1}.get(name, len(outcomes))


@pytest.mark.parametrize("seed", sorted(SEEDS.iterdir()), ids=lambda path: path.name)
def test_what_failed_once_is_refused_or_read(seed, tmp_path):
    try_case(KINDS[seed.name.partition("-")[0]], seed.read_bytes(), tmp_path / "a")


@pytest.mark.parametrize("name", KINDS)
def test_many_changed_files_in_a_process_of_their_own(name):
    if not MANY:
        pytest.skip("the long run is asked for with: make fuzz")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.campaign", name, str(MANY)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["cases"] == MANY and figures["failures"] == []


def test_the_fuzzer_sees_a_reader_that_breaks(tmp_path):
    def fail(data, folder):
        raise AttributeError(data.decode())

    def ramble(data, folder):
        raise KINDS["manifests"].read(b"[" + b" " * 5, folder)

    with pytest.raises(AttributeError, match="x"):
        try_case(Kind("broken", list, lambda data, chance: data, fail), b"x", tmp_path / "a")
    assert try_case(Kind("plain", list, lambda data, chance: data, ramble), b"x", tmp_path / "a") == "refused"
