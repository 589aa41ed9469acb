"""Architectures of spandrel are listed without torchvision, and told as they are."""

import importlib
import sys
from types import ModuleType, SimpleNamespace

import pytest

from spair.export.catalogue import library, recognition
from spair.export.catalogue.library import has_library, list_library
from spair.network import CheckpointError
from tests.export.catalogue.instances import find_class

needs_library = pytest.mark.skipif(not has_library(), reason="spandrel is not installed: make setup")


def find(name):
    return next(architecture for architecture in list_library() if architecture.name == name)


@needs_library
def test_every_architecture_tells_by_which_names_it_is_recognised():
    architectures = list_library()
    assert len(architectures) > 40
    assert [one.name for one in architectures if not one.tells] == []
    assert {"SwinIR", "NAFNet", "SCUNet", "DRUNet", "DnCNN", "ESRGAN"} <= {one.name for one in architectures}


@needs_library
def test_stand_ins_for_torchvision_are_gone_after_the_import():
    assert list_library()
    found = {name: module for name, module in sys.modules.items() if name.startswith("torchvision")}
    assert [name for name, module in found.items() if module.__spec__ is None] == []


def test_a_torchvision_that_was_imported_before_stays(monkeypatch):
    monkeypatch.delitem(sys.modules, "spandrel", raising=False)
    own = ModuleType("torchvision")
    monkeypatch.setitem(sys.modules, "torchvision", own)
    with library._stand_in():
        assert sys.modules["torchvision"] is own
    assert sys.modules["torchvision"] is own
    monkeypatch.delitem(sys.modules, "torchvision")
    with pytest.raises(RuntimeError, match="in the block"), library._stand_in():
        assert importlib.import_module("torchvision.transforms.functional").rotate is None
        raise RuntimeError("in the block")
    assert "torchvision" not in sys.modules


def test_without_the_package_its_extra_is_named(monkeypatch, tmp_path):
    import torch

    monkeypatch.setattr(library, "PACKAGE", "absent_spandrel")
    assert list_library() == ()
    monkeypatch.setattr(recognition, "list_architectures", lambda: recognition.OWN)
    torch.save({"a.weight": torch.ones(1), "b.weight": torch.ones(1)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"one of 4 known networks \(pip install 'spair-rt\[networks\]' for many"):
        recognition.recognise_network(tmp_path / "a.pth")


@needs_library
@pytest.mark.parametrize(
    ("room", "name", "sizes", "noise"),
    [
        ("DRUNet", "DRUNet", {"in_nc": 2, "out_nc": 1, "nc": [8, 8, 8, 8], "nb": 2}, True),
        ("DRUNet", "DRUNet", {"in_nc": 3, "out_nc": 3, "nc": [8, 8, 8, 8], "nb": 2}, False),
        ("DnCNN", "DnCNN", {"in_nc": 4, "out_nc": 3, "nc": 8, "nb": 8, "act_mode": "R", "mode": "FDnCNN"}, True),
        ("DnCNN", "DnCNN", {"in_nc": 1, "out_nc": 1, "nc": 8, "nb": 8, "act_mode": "R"}, False),
    ],
    ids=["DRUNet gray", "DRUNet blind", "FDnCNN", "DnCNN gray"],
)
def test_a_level_of_noise_is_an_input_where_the_weights_have_a_channel_for_it(room, name, sizes, noise):
    state = find_class(room, name)(**sizes).state_dict()
    assert find(name).detect(state)
    known = find(name).build(state)
    assert (known.noise, known.channels) == (noise, sizes["out_nc"])


@needs_library
def test_a_network_that_takes_a_mask_is_refused():
    one = SimpleNamespace(architecture=SimpleNamespace(load=lambda state: object()))
    with pytest.raises(ValueError, match="it takes a mask beside the picture, which no graph of ours gives it"):
        library._build(one, {})


@needs_library
def test_networks_that_pad_by_themselves_get_their_multiple_from_the_graph():
    swinir = {"embed_dim": 8, "depths": [2], "num_heads": [2], "window_size": 4, "img_size": 8, "upscale": 1}
    known = find("SwinIR").build(find_class("SwinIR", "SwinIR")(**swinir).state_dict())
    assert (known.multiple, known.min_size) == (4, 16)
    known = find("SCUNet").build(find_class("SCUNet", "SCUNet")(config=[1] * 7, dim=64).state_dict())
    assert known.multiple == 64
