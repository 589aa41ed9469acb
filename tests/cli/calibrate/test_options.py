"""Options of `spair calibrate` against those of a calibration."""

import dataclasses
import inspect
import re
from typing import Any, get_args

import pytest

from spair.calibration import options as own
from spair.cli.calibrate import options
from spair.cli.calibrate.command import calibrate

CHOICES = {"calibrator": "Calibrator", "statistics": "Statistics", "quantize": "Quantize"}
FIELDS = {field.name: field for field in dataclasses.fields(own.Options)}


def find_type(option: Any) -> Any:
    """Return the type of an annotated option, without what typer reads."""
    return get_args(option)[0]


@pytest.mark.parametrize("name", CHOICES.values())
def test_choices_are_those_of_a_calibration(name):
    assert get_args(find_type(getattr(options, name))) == get_args(getattr(own, name))


def test_every_precision_with_a_gate_can_be_chosen():
    assert set(get_args(find_type(options.Precision))) == set(own.GATES_DB)


def test_every_option_of_a_calibration_has_a_flag_with_its_default():
    given = inspect.signature(calibrate).parameters
    assert set(FIELDS) <= set(given)
    for name, field in FIELDS.items():
        expected = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
        assert given[name].default == expected, name


def test_the_help_names_the_gates_that_count():
    text = get_args(options.MaxLoss)[1].help
    numbers = [float(number) for number in re.findall(r"\d+\.\d+", text)]
    assert own.GATES_DB["bf16"] == own.GATES_DB["fp16"] and "fp16 and bf16" in text
    assert numbers == [own.GATES_DB["fp16"], own.GATES_DB["int8"], own.FOREIGN_INT8_DB]


def test_flags_reach_the_options_of_their_names(monkeypatch, spair, tmp_path):
    """Give every number another value, so that two of them in each other's place are noticed."""
    found = []

    def refuse(model, images, settings, **more):
        found.append(settings)
        raise SystemExit(3)

    monkeypatch.setattr("spair.calibration.calibrate_bundle", refuse)
    flags = {
        "precision": "int8", "calibrator": "entropy", "statistics": "all", "quantize": "weights", "percentile": 98.5,
        "tile": 40, "tiles": 5, "max_loss": 0.75, "assumed_psnr": 33.0, "threads": 2, "pictures": 9, "side": 77,
    }  # fmt: skip
    words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert spair("calibrate", tmp_path, "--images", tmp_path, *words, "--quick").code == 3
    assert dataclasses.asdict(found[0]) == {**flags, "quick": True}
