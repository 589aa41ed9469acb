"""A checkpoint goes to the exporter of its network."""

import pytest
import torch

from spair.export import choosing
from spair.export.choosing import export_any
from spair.export.foreign import ForeignInterface
from spair.runtime import UserError


@pytest.fixture
def calls(monkeypatch):
    """The exporters that were called, with their arguments."""
    found = []
    for name in ("export_checkpoint", "export_foreign", "export_known"):

        def record(*arguments, name=name, **options):
            options.pop("progress")
            found.append((name, arguments, options))
            return {}

        monkeypatch.setattr(choosing, name, record)
    return found


@pytest.fixture
def foreign(tmp_path):
    torch.save({"a.weight": torch.ones(2)}, tmp_path / "a.pth")
    return tmp_path / "a.pth"


def test_a_factory_decides(calls, foreign, tmp_path):
    export_any(foreign, tmp_path / "a.spair", factory="a:b", said={"multiple": 4}, task="rain")
    (name, arguments, options) = calls[0]
    assert (name, arguments) == ("export_foreign", (foreign, "a:b", tmp_path / "a.spair"))
    assert options == {"interface": ForeignInterface(multiple=4), "key": None, "task": "rain", "force": False}


def test_other_weights_are_left_to_recognition(calls, foreign, tmp_path):
    export_any(foreign, tmp_path / "a.spair", said={"multiple": 4})
    assert [(name, options["said"], options["task"]) for name, _, options in calls] == [
        ("export_known", {"multiple": 4}, "")
    ]


@pytest.mark.parametrize("preset", [None, "tiny"])
def test_a_spair_checkpoint_is_exported_as_one(calls, tiny_checkpoint, tmp_path, preset):
    export_any(tiny_checkpoint, tmp_path / "a.spair", preset=preset)
    assert [(name, options["preset"]) for name, _, options in calls] == [("export_checkpoint", preset)]
    with pytest.raises(UserError, match="is a checkpoint of SPAIR, and .* describe other networks; leave them out"):
        export_any(tiny_checkpoint, tmp_path / "a.spair", preset=preset, said={"multiple": 4})
    assert len(calls) == 1


def test_a_preset_is_never_recognised_as_another_network(calls, foreign, tmp_path):
    export_any(foreign, tmp_path / "a.spair", preset="tiny")
    assert calls[0][0] == "export_checkpoint"


def test_a_place_that_is_taken_is_refused_before_anything_is_read(calls, tmp_path):
    (tmp_path / "a.spair").mkdir()
    (tmp_path / "a.spair" / "file").touch()
    with pytest.raises(UserError, match=r"a\.spair"):
        export_any(tmp_path / "absent.pth", tmp_path / "a.spair")
    assert calls == []
