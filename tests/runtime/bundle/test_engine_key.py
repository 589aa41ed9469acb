"""Keys of engines: written and read without loss, and every difference is told."""

import dataclasses
import json

import pytest

from spair.runtime.bundle.engine_key import EngineKey, list_differences, load_key, read_key
from spair.runtime.errors import UserError

KEY = EngineKey(
    target="rtx",
    precision="fp16",
    part="model",
    graph="a" * 64,
    library="b" * 64,
    builder="tensorrt_rtx",
    version="1.7.1.116",
    machine="x86_64",
    architectures=(86, 89, 120),
    options={"batch": 1, "largest": [1920, 1080], "level": None},
)
OTHER = {
    "target": "l4",
    "precision": "fp32",
    "part": "net_r",
    "graph": "c" * 64,
    "library": "d" * 64,
    "builder": "tensorrt",
    "version": "1.8",
    "machine": "aarch64",
    "architectures": (87,),
    "options": {"batch": 2, "largest": [1920, 1080], "level": None},
    "device": "NVIDIA L4 of compute capability 8.9 with 58 multiprocessors and 22 GiB",
    "driver": "12.6",
}


def test_a_key_comes_back_from_its_sidecar():
    assert read_key(KEY.to_json(), "key") == KEY
    assert list_differences(read_key(KEY.to_json(), "key"), KEY) == []


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(EngineKey)])
def test_every_entry_counts(name):
    other = dataclasses.replace(KEY, **{name: OTHER[name]})
    assert other.digest != KEY.digest
    (difference,) = list_differences(other, KEY)
    assert difference.startswith("option batch is 2, expected 1" if name == "options" else f"{name} is ")


def test_hashes_are_told_by_their_first_digits():
    other = dataclasses.replace(KEY, graph="c" * 64)
    assert list_differences(KEY, other) == [f"graph is {'a' * 12}…, expected {'c' * 12}…"]


def test_an_option_that_one_side_lacks_is_told():
    other = dataclasses.replace(KEY, options={**KEY.options, "tf32": True})
    assert list_differences(KEY, other) == ["option tf32 is None, expected True"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"architectures": 3}',
        KEY.to_json().replace('"part"', '"piece"'),
        "null",
        KEY.to_json().replace('"driver": ""', '"driver": "new"'),
        KEY.to_json().replace('"driver": ""', f'"driver": "{"9" * 5000}.1"'),
        *(
            json.dumps({**json.loads(KEY.to_json()), **changes})
            for changes in (
                {"options": []},
                {"architectures": []},
                {"architectures": ["89"]},
                {"graph": 5},
                {"driver": None},
            )
        ),
    ],
)
def test_another_text_is_no_key(text):
    with pytest.raises(
        UserError, match="cannot read engines/rtx/fp16.json: it is not the key of an engine .*; build the engine"
    ):
        read_key(text, "engines/rtx/fp16.json")


def test_a_key_is_read_from_a_bounded_file(tmp_path):
    (tmp_path / "key.json").write_text(KEY.to_json())
    assert load_key(tmp_path / "key.json") == KEY
    (tmp_path / "key.json").write_bytes(b"\xff")
    for path in (tmp_path / "key.json", tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError, match=f"cannot read {path}: it is not the key of an engine"):
            load_key(path)
