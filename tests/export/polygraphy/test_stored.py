"""Which engines of a bundle are for Polygraphy."""

from __future__ import annotations

import json

import pytest

from spair.export.engines.graph import prepare_engine_graph
from spair.export.polygraphy.stored import check_graphs, find_largest, list_engines
from spair.runtime.bundle.reader import Bundle
from spair.runtime.errors import UserError
from tests.export.polygraphy.conftest import OPTIONS, PLAN, add_engine


def prepare(bundle: Bundle) -> dict[str, bytes]:
    return {"fp32": prepare_engine_graph(bundle.graph("fp32", "model"), pixels=True)}


def test_an_engine_is_listed_with_its_libraries(built):
    bundle = Bundle.open(built)
    (one,) = list_engines(bundle)
    assert (one.key.target, one.key.precision, one.engine.read_bytes()) == ("l4", "fp32", PLAN)
    assert one.library.parent == one.autoload.parent
    check_graphs(bundle, [one], prepare(bundle))


def test_the_largest_size_is_one_that_all_take(built):
    add_engine(built, target="hopper", options={**json.loads(json.dumps(OPTIONS.__dict__)), "largest": [100, 400]})
    assert find_largest(list_engines(Bundle.open(built))) == (100, 144)


def test_no_engines_are_refused_with_the_command_that_builds_them(plain):
    with pytest.raises(UserError, match=r"has no engine for Polygraphy \(targets: none\); build one with: spair build"):
        list_engines(Bundle.open(plain))


def test_a_foreign_network_is_refused(built):
    manifest = json.loads((built / "manifest.json").read_text())
    manifest |= {"kind": "foreign", "network": {"multiple": 8, "halo": 8}}
    (built / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="holds a foreign network, which has no engines with plugins"):
        list_engines(Bundle.open(built))


def test_a_target_without_the_registering_library_is_refused(plain):
    add_engine(plain, autoload=b"")
    with pytest.raises(UserError, match=r"the target l4 of .* has no library that registers its plugins.*--target l4"):
        list_engines(Bundle.open(plain))


@pytest.mark.parametrize("options", [{}, {"prepared": "0" * 64}])
def test_an_engine_of_another_graph_is_refused(plain, options):
    add_engine(plain, options=options)
    bundle = Bundle.open(plain)
    with pytest.raises(
        UserError, match=r"was built from another graph .*build it again: .*--target l4 --precision fp32"
    ):
        check_graphs(bundle, list_engines(bundle), prepare(bundle))
