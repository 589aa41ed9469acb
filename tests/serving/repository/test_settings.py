"""Settings that make no sense are refused before any work."""

import dataclasses

import pytest

from spair.runtime.errors import UserError
from spair.serving.repository.releases import find_release
from spair.serving.repository.settings import Settings


@pytest.mark.parametrize(
    "change",
    [
        {"instances": 0},
        {"batch": 0},
        {"queue": 0},
        {"pixels": 0},
        {"seconds": 0.0},
        {"seconds": float("nan")},
        {"threads": -1},
        {"delay": -1},
        {"usual": (0, 8)},
    ],
)
def test_numbers_are_positive(change):
    with pytest.raises(UserError, match="settings of a repository must be positive"):
        dataclasses.replace(Settings(), **change)


@pytest.mark.parametrize(
    "change",
    [{name: 2**31} for name in ("instances", "batch", "queue", "pixels", "threads", "delay", "seconds")]
    + [{"seconds": float("inf")}, {"usual": (8, 2**31)}],
    ids=str,
)
def test_numbers_fit_into_the_configuration(change):
    with pytest.raises(UserError, match="settings of a repository must be at most 2147483647"):
        dataclasses.replace(Settings(), **change)


def test_a_device_is_one_of_three():
    with pytest.raises(UserError, match="the device is 'gpu', expected one of cpu, cuda, tensorrt"):
        Settings("gpu")


@pytest.mark.parametrize("version", ["10", "10.5", "v10.5.0", "10.5.0.18.1", "10.5.x"])
def test_a_version_of_tensorrt_has_three_or_four_numbers(version):
    with pytest.raises(UserError, match="expected one like 10.5.0.18"):
        Settings(tensorrt=version)


def test_requests_are_put_together_on_a_gpu_only():
    assert not Settings(batch=4).batches
    assert not Settings("cuda").batches
    assert Settings("cuda", batch=4).batches


def test_the_given_tensorrt_wins_over_the_tables():
    release = find_release("24.10")
    assert Settings(release=release).container_tensorrt == "10.5.0.18"
    assert Settings(release=release, tensorrt="10.6.0").container_tensorrt == "10.6.0"
