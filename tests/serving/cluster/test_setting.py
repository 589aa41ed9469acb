"""Addresses are those that Ray takes, and settings refuse what nobody could run."""

import pytest

from spair.runtime.errors import UserError
from spair.serving.cluster.setting import ClusterSetting, ModelSetting


@pytest.mark.parametrize("address", ["auto", "local", "10.0.0.1:6379", "head.example:6379", "[::1]:6379"])
def test_addresses_of_clusters_are_taken(address):
    assert ClusterSetting(address).address == address


@pytest.mark.parametrize(
    "address", ["", "Auto", "host", ":6379", "host:", "host:port", "ray://host:10001", "host:70000"]
)
def test_other_addresses_are_refused(address):
    with pytest.raises(UserError, match=r"cannot use the Ray address .*; expected auto, local or HOST:PORT"):
        ClusterSetting(address)


def test_no_actor_is_no_run():
    with pytest.raises(UserError, match="the number of actors is 0; expected at least 1"):
        ClusterSetting("auto", actors=0)


@pytest.mark.parametrize(("backend", "on_gpu"), [("onnxruntime", False), ("cuda", True), ("tensorrt", True)])
def test_backends_of_gpus_need_one(backend, on_gpu):
    assert ModelSetting("x.spair", backend).on_gpu is on_gpu
