"""Factories and checkpoints of other people's networks, with every refusal."""

import pytest
import torch
from torch import nn

from spair.export.foreign import load_foreign, loading
from spair.network import CheckpointError
from spair.runtime import UserError


def refuse(message: str, kind: type[Exception], call, *args, **options) -> None:
    with pytest.raises(kind, match=message) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)


def test_a_network_whose_own_names_begin_like_a_wrapper_loads(factory, tmp_path, monkeypatch):
    module = nn.Module()
    module.model = nn.Conv2d(3, 3, 3)
    torch.save(module.state_dict(), tmp_path / "own.pth")
    monkeypatch.setattr(loading, "build_network", lambda factory: module)
    assert load_foreign("a:b", tmp_path / "own.pth") is module
    torch.save({f"module.{key}": value for key, value in module.state_dict().items()}, tmp_path / "wrapped.pth")
    assert load_foreign("a:b", tmp_path / "wrapped.pth") is module
    torch.save({"model.weight": module.model.weight.detach()}, tmp_path / "less.pth")
    message = r"less.pth does not fit Module: 1 key missing \(model.bias\); give"
    refuse(message, CheckpointError, load_foreign, "a:b", tmp_path / "less.pth")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no_colon", "not of the form package.module:function"),
        ("absent_module_xyz:f", "does not import: No module named 'absent_module_xyz'"),
        ("NAME:absent", "has no 'absent'"),
        ("..NAME:recurrent", "does not import: TypeError"),
        ("NAME:leaves", "failed: SystemExit: 0"),
        ("NAME:number", "returned int, expected a torch.nn.Module"),
        ("NAME:broken", "failed: RuntimeError: no weights for you"),
    ],
)
def test_a_factory_that_cannot_be_used_is_one_sentence(factory, text, message):
    known, checkpoint = factory("recurrent")
    refuse(message, UserError, load_foreign, text.replace("NAME", known.partition(":")[0]), checkpoint)


def test_keys_that_do_not_match_are_named(factory):
    text, _ = factory("recurrent")
    _, other = factory("two")
    message = r"2 keys of another shape \(conv.weight \(4, 4, 3, 3\) instead of \(3, 6, 3, 3\), conv.bias"
    refuse(message, CheckpointError, load_foreign, text, other)
    torch.save({"body.weight": torch.zeros(1)}, other)
    message = r"2 keys missing \(conv.weight, conv.bias\); 1 key unexpected \(body.weight\)"
    refuse(message, CheckpointError, load_foreign, text, other)


@pytest.mark.data
def test_a_strict_load_of_another_published_network_names_the_keys(data_dir):
    factory = "benchmarks.peers.prenet:prenet"
    refuse("keys missing", CheckpointError, load_foreign, factory, data_dir / "checkpoints" / "sapnet.pth")


def test_a_module_that_fails_while_it_is_imported_is_one_sentence(tmp_path, monkeypatch, factory):
    _, checkpoint = factory("recurrent")
    for name, text in (("badly_written_xyz", "def f(:"), ("leaves_early_xyz", "raise SystemExit(0)")):
        (tmp_path / f"{name}.py").write_text(text)
        refuse("does not import: (SyntaxError|SystemExit)", UserError, load_foreign, f"{name}:f", checkpoint)


def test_a_factory_is_found_by_the_path_of_its_file(factory, tmp_path):
    known, checkpoint = factory("recurrent")
    file = tmp_path / f"{known.partition(':')[0]}.py"
    assert isinstance(load_foreign(f"{file}:recurrent", checkpoint), nn.Module)
    refuse("; give a module's name, or its file", UserError, load_foreign, "no/such.py:f", checkpoint)
    refuse("does not import: .*; give a module's name", UserError, load_foreign, f"{tmp_path}/x:f", checkpoint)


@pytest.mark.parametrize("make", [nn.Module.half, nn.Module.bfloat16, nn.Module.double], ids=lambda make: make.__name__)
def test_a_module_of_another_precision_becomes_float32(tmp_path, monkeypatch, make):
    module = make(nn.Conv2d(3, 3, 3))
    torch.save(module.state_dict(), tmp_path / "own.pth")
    monkeypatch.setattr(loading, "build_network", lambda factory: module)
    assert load_foreign("a:b", tmp_path / "own.pth").weight.dtype == torch.float32


def test_a_scripted_module_is_named_as_such(tmp_path, monkeypatch):
    (tmp_path / "scripted_xyz.py").write_text("import torch\ndef make(): return torch.jit.ScriptModule()\n")
    monkeypatch.chdir(tmp_path)
    refuse("returned a scripted module, .* without torch.jit", UserError, load_foreign, "scripted_xyz:make", tmp_path)
