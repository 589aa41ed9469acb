"""Checkpoints: what is read, and every refusal."""

import dataclasses
import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spair.network import SPAIR, TINY, CheckpointError, Preset, find_preset, load_checkpoint, save_checkpoint

SMALL = dataclasses.replace(TINY, name="small", local_channels=(4, 6, 8), channels=(6, 8, 8), pairs=(1, 1, 1))


@pytest.fixture(scope="module")
def tiny() -> SPAIR:
    torch.manual_seed(0)
    return SPAIR(TINY)


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    save_checkpoint(SPAIR(SMALL), tmp_path / "small.safetensors", task="rain", training=json.dumps({"step": 3}))
    return tmp_path / "small.safetensors"


def assert_same(first: torch.nn.Module, second: torch.nn.Module) -> None:
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_what_is_saved_is_loaded(tmp_path):
    model = SPAIR(SMALL)
    save_checkpoint(model, tmp_path / "a" / "b.safetensors", task="shadow", training="{}")
    loaded = load_checkpoint(tmp_path / "a" / "b.safetensors")
    assert loaded.model.preset == SMALL
    assert (loaded.task, loaded.training) == ("shadow", "{}")
    assert not loaded.model.training
    assert_same(model, loaded.model)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"state_dict": {f"model.module.{name}": value for name, value in state.items()}, "epoch": 3},
        lambda state: {"params_ema": state, "params": {name: value * 0 for name, value in state.items()}},
    ],
    ids=["bare", "DataParallel", "Lightning", "averaged weights first"],
)
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
def test_what_other_trainers_save_is_loaded_and_its_preset_recognised(tmp_path, tiny, wrap, suffix):
    torch.save(wrap(tiny.state_dict()), tmp_path / f"a{suffix}")
    loaded = load_checkpoint(tmp_path / f"a{suffix}")
    assert loaded.model.preset.name == "tiny"
    assert_same(tiny, loaded.model)


def refused(path: Path, message: str, **options) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path, **options)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    refused(tmp_path / "none.safetensors", "does not exist")


def test_an_unknown_suffix_is_refused(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"x")
    refused(tmp_path / "a.bin", r"ends in '\.bin'; expected one of \.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 1000, -10])
def test_a_truncated_safetensors_file_is_refused(small_file, kept):
    small_file.write_bytes(small_file.read_bytes()[:kept])
    refused(small_file, "truncated or no safetensors file")


@pytest.mark.parametrize("kept", [0, 5, 1000, -10])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_truncated_torch_file_is_refused(tmp_path, tiny, kept, zipped):
    path = tmp_path / "a.pth"
    torch.save(tiny.state_dict(), path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:kept])
    refused(path, "truncated|not a plain state dict")


class Payload:
    """Leaves a trace when it is unpickled."""

    trace: Path

    def __reduce__(self):
        return (Path.touch, (self.trace,))


def test_a_pickled_module_is_refused_and_not_executed(tmp_path):
    Payload.trace = tmp_path / "executed"
    for name, save in (
        ("zip.pth", torch.save),
        ("plain.pth", lambda value, path: path.write_bytes(pickle.dumps(value))),
    ):
        save({"weight": Payload()}, tmp_path / name)
        refused(tmp_path / name, "not executed; save model.state_dict")
    torch.save(torch.nn.Conv2d(1, 1, 1), tmp_path / "module.pth")
    refused(tmp_path / "module.pth", "pickled module")
    assert not Payload.trace.exists()


def test_a_file_without_a_state_dict_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    refused(tmp_path / "list.pth", "holds no state dict")
    torch.save({}, tmp_path / "empty.pth")
    refused(tmp_path / "empty.pth", "holds no state dict")


def test_another_networks_weights_are_refused_with_their_keys(tmp_path):
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    refused(
        tmp_path / "other.pth", "its keys begin conv.weight; for another network give its definition with --factory"
    )


def test_a_mismatched_preset_names_the_keys(tmp_path, tiny):
    torch.save(tiny.state_dict(), tmp_path / "tiny.pth")
    refused(tmp_path / "tiny.pth", r"keys of another shape \(net_l.stem.weight \(24, 12, 3, 3\) instead", preset="base")
    state = tiny.state_dict()
    del state["net_l.stem.bias"]
    torch.save(state, tmp_path / "less.pth")
    refused(tmp_path / "less.pth", r"1 keys missing \(net_l.stem.bias\)", preset="tiny")


def test_nan_weights_are_refused_on_reading_and_writing(tmp_path, small_file):
    model = load_checkpoint(small_file).model
    with torch.no_grad():
        model.net_l.stem.bias[1] = float("nan")
    with pytest.raises(CheckpointError, match=r"NaN or infinite values in 1 tensors \(first: net_l.stem.bias\)"):
        save_checkpoint(model, small_file, task="rain")
    load_checkpoint(small_file)  # the old file is unchanged
    save_file(model.state_dict(), tmp_path / "nan.safetensors", {"preset": SMALL.to_json()})
    refused(tmp_path / "nan.safetensors", "NaN or infinite")


def test_a_newer_schema_is_refused(tmp_path):
    save_file(SPAIR(SMALL).state_dict(), tmp_path / "new.safetensors", {"schema": "99", "preset": SMALL.to_json()})
    refused(tmp_path / "new.safetensors", "schema 99, this version reads up to 1; upgrade spair-rt")


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "x", "colour": 1}', '{"name": "x", "grid": 0}'])
def test_an_unreadable_preset_is_refused(text):
    with pytest.raises(CheckpointError, match="preset"):
        Preset.from_json(text)


def test_presets_survive_json_and_unknown_names_list_the_known_ones():
    assert Preset.from_json(SMALL.to_json()) == SMALL
    with pytest.raises(CheckpointError, match="no preset 'huge'; choose one of tiny, base, large"):
        find_preset("huge")
    with pytest.raises(CheckpointError, match="mask_threshold 1.5"):
        dataclasses.replace(TINY, mask_threshold=1.5)


def test_only_safetensors_are_written_and_an_unwritable_folder_is_one_sentence(tmp_path):
    with pytest.raises(CheckpointError, match="written as .safetensors"):
        save_checkpoint(SPAIR(SMALL), tmp_path / "a.pth", task="rain")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="choose a folder that can be written"):
        save_checkpoint(SPAIR(SMALL), tmp_path / "file" / "a.safetensors", task="rain")


@pytest.mark.data
def test_the_published_checkpoints_of_others_are_refused(data_dir):
    refused(data_dir / "checkpoints" / "dncnn_pickled_module.pth", "not executed")
    refused(data_dir / "checkpoints" / "sapnet.pth", "is no checkpoint of a SPAIR preset")
