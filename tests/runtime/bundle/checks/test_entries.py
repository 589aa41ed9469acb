"""Optional entries of manifests have their types, or the bundle does not open."""

import pytest

from spair.runtime.bundle.checks.entries import check_entries, is_whole

ENGINE = {"engine": "engines/rtx/fp16.engine", "key": "engines/rtx/fp16.json"}
GOOD = {
    "checkpoint": {"name": "a"},
    "opset": 18,
    "inputs": [{"name": "image", "channels": 3}],
    "outputs": ["restored"],
    "targets": {
        "rtx": {"library": "l.so", "architectures": [89], "engines": {"fp16": {**ENGINE, "parts": {"x": ENGINE}}}}
    },
}


def test_what_the_toolkit_writes_passes():
    check_entries(GOOD)
    check_entries({})
    check_entries({"inputs": [], "targets": {"rtx": {"colour": "green"}}})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("checkpoint", []),
        ("operators", 3),
        ("parity", "passed"),
        ("tools", None),
        ("preset_fields", ["tiny"]),
        ("opset", True),
        ("opset", 10**9),
        ("inputs", {"name": "image"}),
        ("inputs", ["image"]),
        ("inputs", [{"name": 3}]),
        ("inputs", [{"channels": 10**9}]),
        ("inputs", [{"channels": 0}]),
        ("outputs", "restored"),
        ("outputs", [["restored"]]),
        ("targets", []),
        ("targets", {"rtx": "plugins"}),
        ("targets", {"rtx": {"library": ["a"]}}),
        ("targets", {"rtx": {"engines": ["a"]}}),
        ("targets", {"rtx": {"engines": {"fp16": "a"}}}),
        ("targets", {"rtx": {"engines": {"fp16": {**ENGINE, "key": 3}}}}),
        ("targets", {"rtx": {"engines": {"fp16": {**ENGINE, "parts": {"x": {**ENGINE, "engine": []}}}}}}),
    ],
)
def test_an_entry_of_another_type_is_named(name, value):
    with pytest.raises(TypeError, match=f"its {name} must be .*, not ") as caught:
        check_entries({**GOOD, name: value})
    assert len(str(caught.value)) < 400


def test_whole_numbers_lie_in_their_range():
    assert [is_whole(value, 1, 3) for value in (0, 1, 3, 4, 2.0, True)] == [False, True, True, False, False, False]
