"""Laws of checkpoint files and every refusal."""

import dataclasses
import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spair.network import SPAIR, TINY, CheckpointError, load_checkpoint, save_checkpoint
from spair.network.checkpoint import is_spair, read_candidates, read_state

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


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"state_dict": {f"model.module.{name}": value for name, value in state.items()}, "epoch": 3},
        lambda state: {"params_ema": state, "params": {name: value * 0 for name, value in state.items()}},
        lambda state: {"n_averaged": torch.tensor(3), **{f"module.{name}": value for name, value in state.items()}},
    ],
    ids=["bare", "DataParallel", "Lightning", "averaged weights first", "AveragedModel"],
)
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
def test_what_other_trainers_save_is_loaded_and_its_preset_recognised(tmp_path, tiny, wrap, suffix):
    torch.save(wrap(tiny.state_dict()), tmp_path / f"a{suffix}")
    loaded = load_checkpoint(tmp_path / f"a{suffix}")
    assert loaded.model.preset.name == "tiny"
    assert_same(tiny, loaded.model)


def test_what_torchs_averaged_model_saves_is_loaded(tmp_path, tiny):
    averaged = torch.optim.swa_utils.AveragedModel(tiny)
    torch.save(averaged.state_dict(), tmp_path / "averaged.pth")
    assert_same(tiny, load_checkpoint(tmp_path / "averaged.pth").model)


def of(*names: str) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(1) for name in names}


@pytest.mark.parametrize(
    ("names", "saved"),
    [
        (["model.a", "model.b"], ["model.a", "model.b"]),
        (["model.a", "model.b"], ["model.model.a", "model.model.b"]),
        (["network.module.a"], ["module.network.module.a"]),
        (["a", "module.a"], ["a", "module.a"]),
        (["a", "b"], ["_orig_mod.model.module.a", "_orig_mod.model.module.b"]),
        (["n_averaged", "a"], ["n_averaged", "a"]),
        (["a"], ["n_averaged", "module.a"]),
    ],
    ids=lambda names: " ".join(names),
)
def test_prefixes_are_removed_only_as_far_as_names_then_match(tmp_path, names, saved):
    torch.save(of(*saved), tmp_path / "a.pth")
    assert set(read_state(tmp_path / "a.pth", names)[0].tensors) == set(names)


def test_names_that_never_match_stay_as_they_are(tmp_path):
    torch.save(of("model.a", "model.b"), tmp_path / "a.pth")
    assert set(read_state(tmp_path / "a.pth", ["c"])[0].tensors) == {"model.a", "model.b"}
    torch.save(of("model.a"), tmp_path / "a.pth")
    assert set(read_state(tmp_path / "a.pth", ["model.a", "model.b"])[0].tensors) == {"model.a"}


def refused(path: Path, message: str, **options) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path, **options)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    refused(tmp_path / "none.safetensors", "does not exist")


def test_the_content_decides_and_not_the_suffix(tmp_path, tiny, small_file):
    torch.save(tiny.state_dict(), tmp_path / "best.pth.tar")
    assert_same(tiny, load_checkpoint(tmp_path / "best.pth.tar").model)
    assert load_checkpoint(small_file.rename(tmp_path / "small.bin")).model.preset == SMALL
    (tmp_path / "a.bin").write_bytes(b"x")
    refused(tmp_path / "a.bin", "is not a PyTorch file")


def test_one_key_too_many_or_too_few_is_named(tmp_path, tiny):
    state = {**tiny.state_dict(), "net_r.extra": torch.zeros(1)}
    save_file(state, tmp_path / "more.safetensors")
    refused(tmp_path / "more.safetensors", r"1 key unexpected \(net_r.extra\)")
    del state["net_r.extra"], state["net_l.stem.bias"]
    save_file(state, tmp_path / "less.safetensors")
    refused(tmp_path / "less.safetensors", r"1 key missing \(net_l.stem.bias\)")


def test_a_key_chooses_among_weights_that_fit(tmp_path, tiny):
    zeros = {name: value * 0 for name, value in tiny.state_dict().items()}
    torch.save({"params_ema": zeros, "params": tiny.state_dict()}, tmp_path / "a.pth")
    loaded = load_checkpoint(tmp_path / "a.pth", key="params")
    assert_same(tiny, loaded.model)
    assert loaded.choice.prefix == "params."


@pytest.mark.parametrize("kept", [0, 5, 1000, -10])
def test_a_truncated_safetensors_file_is_refused(small_file, kept):
    small_file.write_bytes(small_file.read_bytes()[:kept])
    refused(small_file, "truncated")


@pytest.mark.parametrize("kept", [0, 5, 1000, -10])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_truncated_torch_file_is_refused(tmp_path, tiny, kept, zipped):
    path = tmp_path / "a.pth"
    torch.save(tiny.state_dict(), path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:kept])
    refused(path, "truncated|not a plain state dict")


class Payload:
    """Object that leaves a trace when it is unpickled."""

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
    refused(tmp_path / "list.pth", "does not hold a state dict")
    torch.save({}, tmp_path / "empty.pth")
    refused(tmp_path / "empty.pth", "does not hold a state dict")


def test_another_networks_weights_are_refused_with_their_keys(tmp_path):
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    refused(
        tmp_path / "other.pth", "its keys begin conv.weight; for another network, give its definition with --factory"
    )


def test_a_mismatched_preset_names_the_keys(tmp_path, tiny):
    torch.save(tiny.state_dict(), tmp_path / "tiny.pth")
    refused(tmp_path / "tiny.pth", r"keys of another shape \(net_l.stem.weight \(24, 3, 6, 6\) instead", preset="base")
    state = tiny.state_dict()
    del state["net_l.stem.bias"]
    torch.save(state, tmp_path / "less.pth")
    refused(tmp_path / "less.pth", r"1 key missing \(net_l.stem.bias\)", preset="tiny")


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


@pytest.mark.parametrize("schema", ["v2", "", "1.5", "-1"])
def test_a_schema_that_is_no_number_is_refused(tmp_path, schema):
    save_file(SPAIR(SMALL).state_dict(), tmp_path / "odd.safetensors", {"schema": schema, "preset": SMALL.to_json()})
    refused(
        tmp_path / "odd.safetensors", f"odd.safetensors has checkpoint schema '{schema}', expected a number up to 1"
    )


WRONG = [
    ({"channels": [8, 8]}, r"channels \(8, 8\); it must be three positive counts"),
    ({"pairs": [1, 1, 1, 1]}, r"pairs \(1, 1, 1, 1\); it must be three positive counts"),
    ({"local_channels": 24}, "local_channels 24; it must be three positive counts"),
    ({"pairs": [1, 1, 0.5]}, "three positive counts"),
    ({"pairs": [1, True, 1]}, "three positive counts"),
    ({"channels": [8, -8, 8]}, "three positive counts"),
    ({"grid": "16"}, "grid '16'; it must be a positive count"),
    ({"attention_channels": None}, "attention_channels None; it must be a positive count"),
    ({"mask_threshold": "half"}, "mask_threshold 'half'; it must be a number"),
    ({"gate_output": 1}, "gate_output 1; it must be true or false"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[str(change) for change, _ in WRONG])
def test_a_preset_of_wrong_sizes_is_refused_with_the_files_name(tmp_path, change, message):
    fields = {**json.loads(SMALL.to_json()), **change}
    save_file(SPAIR(SMALL).state_dict(), tmp_path / "odd.safetensors", {"preset": json.dumps(fields)})
    refused(tmp_path / "odd.safetensors", f"odd.safetensors cannot be loaded: .*{message}")


def test_only_safetensors_are_written_and_an_unwritable_folder_is_one_sentence(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot save a\.pth, expected a name that ends in \.safetensors"):
        save_checkpoint(SPAIR(SMALL), tmp_path / "a.pth", task="rain")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="give a folder that can be written"):
        save_checkpoint(SPAIR(SMALL), tmp_path / "file" / "a.safetensors", task="rain")


@pytest.mark.data
def test_the_published_checkpoints_of_others_are_refused(data_dir):
    refused(data_dir / "checkpoints" / "dncnn_pickled_module.pth", "not executed")
    refused(data_dir / "checkpoints" / "sapnet.pth", "is not a checkpoint of a SPAIR preset")


def test_integer_weights_are_refused(tmp_path, tiny):
    state = {name: value.to(torch.int8) for name, value in tiny.state_dict().items()}
    torch.save(state, tmp_path / "int8.pth")
    refused(tmp_path / "int8.pth", r"holds torch.int8 weights \(net_l.stem.weight\); give the float checkpoint")


def test_paths_may_be_texts(tmp_path):
    save_checkpoint(SPAIR(SMALL), str(tmp_path / "a.safetensors"), task="rain")
    assert load_checkpoint(str(tmp_path / "a.safetensors")).model.preset == SMALL


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(1).expand(10**5, 10**7),
        torch.zeros(3, device="meta"),
        torch.zeros(3, 3).to_sparse(),
        torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8),
        torch.zeros(3, dtype=torch.complex64),
    ],
    ids=["expanded", "meta", "sparse", "quantized", "complex"],
)
def test_tensors_that_are_no_plain_numbers_are_refused(tmp_path, tiny, value):
    torch.save({**tiny.state_dict(), "net_l.stem.bias": value}, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "holds a tensor net_l.stem.bias that")


def test_a_network_is_not_made_before_its_weights_are_known_to_fit(tmp_path, monkeypatch):
    """Metadata may name sizes that stand for terabytes."""
    huge = dataclasses.replace(TINY, name="huge", channels=(1024,) * 3, local_channels=(1024,) * 3)
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", {"schema": "1", "preset": huge.to_json()})
    made = []
    real = SPAIR.__init__

    def record(self, preset):
        real(self, preset)
        made.append(next(self.parameters()).device.type)

    monkeypatch.setattr(SPAIR, "__init__", record)
    refused(tmp_path / "a.safetensors", "does not fit SPAIR: .* keys missing")
    assert set(made) == {"meta"}


@pytest.mark.parametrize("preset", ["[" * 100_000, '{"name": "a", "grid": ' + "9" * 5000 + "}", "[]", '{"name": {}}'])
def test_metadata_that_cannot_be_read_is_refused(tmp_path, preset):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", {"schema": "1", "preset": preset})
    refused(tmp_path / "a.safetensors", "a.safetensors cannot be loaded: ")


def test_a_schema_of_many_digits_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", {"schema": "9" * 5000})
    refused(tmp_path / "a.safetensors", "has checkpoint schema '9{20}', expected a number up to 1")


@pytest.mark.parametrize("place", [2, 100, 500, 900, 0.5, 0.9])
def test_a_damaged_file_of_the_older_form_is_refused(tmp_path, tiny, place):
    torch.save(tiny.state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    content = bytearray((tmp_path / "a.pth").read_bytes())
    at = place if isinstance(place, int) else int(place * len(content))
    (tmp_path / "a.pth").write_bytes(content[:at])
    refused(tmp_path / "a.pth", "truncated or not a PyTorch checkpoint|is not a plain state dict")


def test_a_checkpoint_is_spair_if_it_says_so_or_has_most_of_the_weights(tmp_path, tiny, small_file):
    assert is_spair(small_file)
    state = tiny.state_dict()
    most = dict(list(state.items())[len(state) // 3 :])
    torch.save({"params": most}, tmp_path / "most.pth")
    assert is_spair(tmp_path / "most.pth") and is_spair(str(tmp_path / "most.pth"), key="params")
    torch.save({"conv.weight": torch.ones(3), "conv.bias": torch.ones(3)}, tmp_path / "other.pth")
    assert not is_spair(tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="holds no weights under 'net'"):
        is_spair(tmp_path / "most.pth", key="net")


def test_candidates_are_read_from_both_kinds_of_files(tmp_path):
    state = {"conv.weight": torch.ones(3), "conv.bias": torch.ones(3)}
    save_file(state, tmp_path / "a.safetensors")
    torch.save({"params": state}, tmp_path / "a.pth")
    for name in ("a.safetensors", "a.pth"):
        found = [set(choice.tensors) for choice in read_candidates(tmp_path / name)]
        assert {"conv.weight", "conv.bias"} in found, name
    with pytest.raises(CheckpointError, match="does not exist"):
        list(read_candidates(tmp_path / "absent.pth"))
