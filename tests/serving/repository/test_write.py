"""A repository holds what its report names, and what every device needs."""

import json
import shlex
from pathlib import Path

import onnx
import pytest

from spair.export.served.graph import make_served_graph
from spair.runtime.bundle.reader import Bundle
from spair.runtime.errors import UserError
from spair.serving.repository.configs import parse_config
from spair.serving.repository.folder import LISTING
from spair.serving.repository.releases import find_release
from spair.serving.repository.settings import Settings
from spair.serving.repository.write import write_repository
from tests.serving.repository.engines import LIBRARY, PLAN, add_engine

TRITON = find_release("24.10")


def list_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def read_config(folder: Path, name: str):
    return parse_config((folder / "models" / name / "config.pbtxt").read_text())


def test_the_report_names_every_model_and_its_files(tiny_bundle, tmp_path):
    out = tmp_path / "out"
    report = write_repository({"rain": tiny_bundle, "night": tiny_bundle}, out, Settings(release=TRITON))
    assert json.loads(json.dumps(report)) == report
    assert set(report) == {"out", "models", "triton", "command"}
    named = {file for model in report["models"] for file in model["files"]}
    assert named | {"README.md", "Dockerfile", LISTING} == list_files(out)
    names = [model["name"] for model in report["models"]]
    assert names == ["rain", "rain_bytes", "night", "night_bytes", "spair_decode", "spair_encode"]
    for name in names:
        assert read_config(out, name).name == name
    assert report["triton"] == "24.10"
    assert shlex.split(report["command"]) == [
        "tritonserver", f"--model-repository={out / 'models'}", "--disable-auto-complete-config",
    ]  # fmt: skip


def test_the_graph_is_the_served_one(tiny_bundle, tmp_path):
    write_repository({"rain": tiny_bundle}, tmp_path / "out", Settings())
    found = onnx.load(tmp_path / "out" / "models" / "rain" / "1" / "model.onnx")
    assert found == make_served_graph(Bundle.open(tiny_bundle))


def test_newer_servers_are_told_how_large_requests_may_be(tiny_bundle, tmp_path):
    small = write_repository({"rain": tiny_bundle}, tmp_path / "a", Settings(release=find_release("25.06")))
    large = write_repository({"rain": tiny_bundle}, tmp_path / "b", Settings(pixels=100_000_000))
    assert "--http-max-input-size=67108864" in small["command"]
    assert "--http-max-input-size=301048576" in large["command"]


def test_several_requests_go_through_a_model_of_their_own(tiny_bundle, tmp_path):
    write_repository({"rain": tiny_bundle}, tmp_path / "out", Settings("cuda", batch=4))
    assert "models/rain_batched/1/model.onnx" in list_files(tmp_path / "out")
    assert read_config(tmp_path / "out", "rain").platform == "ensemble"


def test_an_engine_brings_its_plugins_its_batch_and_its_usual_size(tiny_bundle, tmp_path):
    bundle, out = add_engine(tiny_bundle, tmp_path / "rain.spair", batch=2), tmp_path / "out"
    report = write_repository({"rain": bundle}, out, Settings("tensorrt", TRITON, batch=7, usual=(1, 1)))
    assert (out / "models" / "rain_batched" / "1" / "model.plan").read_bytes() == PLAN
    assert (out / "plugins" / "libspair_plugins.so").read_bytes() == LIBRARY
    config = read_config(out, "rain_batched")
    assert config.max_batch_size == 2
    assert list(config.model_warmup[1].inputs["image"].dims) == [3, 64, 96]
    assert read_config(out, "spair_decode").parameters["max_pixels"].string_value == str(192 * 128)
    option = f"--backend-config=tensorrt,plugins={out / 'plugins' / 'libspair_plugins_autoload.so'}"
    assert option in shlex.split(report["command"])
    page = (out / "README.md").read_text(encoding="utf-8")
    assert "--backend-config=tensorrt,plugins=/repository/plugins/libspair_plugins_autoload.so" in page
    assert "LD_LIBRARY_PATH" in page


def test_an_engine_for_single_pictures_is_served_without_batches(tiny_bundle, tmp_path):
    bundle, out = add_engine(tiny_bundle, tmp_path / "rain.spair"), tmp_path / "out"
    write_repository({"rain": bundle}, out, Settings("tensorrt", TRITON))
    assert read_config(out, "rain").platform == "tensorrt_plan"
    assert read_config(out, "rain").max_batch_size == 0


def test_engines_for_different_sizes_need_repositories_of_their_own(tiny_bundle, tmp_path):
    one = add_engine(tiny_bundle, tmp_path / "a.spair")
    other = add_engine(
        tiny_bundle, tmp_path / "b.spair", options={"batch": 1, "usual": [64, 64], "largest": [192, 128]}
    )
    with pytest.raises(UserError, match=r"tuned for different sizes \(a 96x64, b 64x64\); write a repository for each"):
        write_repository({"a": one, "b": other}, tmp_path / "out", Settings("tensorrt", TRITON))


def test_a_failure_writes_nothing(tiny_bundle, tmp_path):
    with pytest.raises(UserError, match="has no int8 graphs"):
        write_repository({"rain": tiny_bundle}, tmp_path / "out", Settings(precision="int8"))
    with pytest.raises(UserError, match="cannot open the bundle"):
        write_repository({"rain": tmp_path / "absent"}, tmp_path / "out", Settings())
    assert list(tmp_path.iterdir()) == []


def test_places_and_names_are_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="a file or link of that name exists"):
        write_repository({"a": tmp_path / "absent"}, tmp_path / "file", Settings())
    with pytest.raises(UserError, match="two models would be called a_bytes"):
        write_repository({"a": tmp_path / "x", "a_bytes": tmp_path / "y"}, tmp_path / "out", Settings())
