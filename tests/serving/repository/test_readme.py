"""The page says how to start this very repository."""

import importlib.metadata

import pytest

from spair.serving.repository.configs import make_configs
from spair.serving.repository.readme import format_dockerfile, format_readme
from spair.serving.repository.releases import find_release
from spair.serving.repository.settings import Settings


def write(settings: Settings, library: str = "") -> str:
    configs = make_configs({"rain": True}, settings)
    return format_readme(configs, {"rain": "rain-tiny.spair"}, library, settings)


def test_the_page_lists_every_model_with_its_tensors():
    page = write(Settings("cuda", batch=4))
    assert "| `rain` | image UINT8 [-1, 3, -1, -1] |" in page
    assert "| `rain_batched` | image UINT8 [3, -1, -1] |" in page
    assert (
        "| `rain_bytes` | image BYTES [1] | restored BYTES [1], mask BYTES [1], density FP32 [1] | ensemble |" in page
    )
    assert "at most 4 at a time" in page


def test_gpus_are_handed_over_where_they_are_needed():
    assert "--gpus all" not in write(Settings())
    assert "--gpus all" in write(Settings("cuda"))


def test_the_limits_are_those_of_the_settings():
    page = write(Settings(queue=7, seconds=2.5, pixels=1234))
    assert "when 7 others wait for its model, or after 2.5 seconds" in page
    assert "more than 1234 pixels" in page


@pytest.mark.parametrize(("release", "named"), [("25.05", False), ("25.06", True)])
def test_the_limit_of_requests_is_named_where_the_server_has_one(release, named):
    assert ("--http-max-input-size" in write(Settings(release=find_release(release)))) is named


def test_plugins_are_named_for_engines_only():
    settings = Settings("tensorrt", find_release("24.10"))
    assert "10.5.0.18" in write(settings, "libspair_plugins.so")
    assert "plugins" not in write(Settings())


def test_the_image_is_built_on_the_release_with_this_version():
    text = format_dockerfile(Settings(release=find_release("24.10")))
    assert text.startswith("FROM nvcr.io/nvidia/tritonserver:24.10-py3\n")
    assert f"'spair-rt=={importlib.metadata.version('spair-rt')}' 'numpy<2'" in text


@pytest.mark.parametrize("device", ["cpu", "cuda", "tensorrt"])
def test_lines_of_text_are_not_long(device):
    page = write(Settings(device, find_release("24.10")), "libspair_plugins.so" if device == "tensorrt" else "")
    assert [line for line in page.splitlines() if len(line) > 120 and not line.startswith(("|", "  "))] == []
