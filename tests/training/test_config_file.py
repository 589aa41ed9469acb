"""Files of configurations: TOML and YAML, and those that are shipped."""

from pathlib import Path

import pytest
import yaml

from spair.network import PRESETS
from spair.training.config_file import list_configs, load_config
from spair.training.data.roots import split_reference

SHIPPED = sorted((Path(__file__).parents[2] / "training" / "configs").glob("*.toml"))


def test_a_missing_configuration_and_one_that_cannot_be_parsed_are_refused(tmp_path, refuse):
    names = "give a TOML or YAML file, or one of the names .*quickstart, rain-base-gpu, rain-tiny, "
    refuse(f"none.toml does not exist; {names}", load_config, tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes("name = 'é'".encode("latin-1"))
    refuse("latin.toml is not valid TOML", load_config, tmp_path / "latin.toml")
    (tmp_path / "broken.yml").write_text("name: [1\ndata: 2")
    refuse("broken.yml is not valid YAML: .* correct that line", load_config, tmp_path / "broken.yml")


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".YAML"])
def test_yaml_says_the_same_as_toml(configure, folder, suffix):
    config = configure(("warm_up = 1", "learning_rate = 2e-3"), stages=[("net_l", 2), ("both", 3)])
    path = folder / f"run{suffix}"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")).replace("0.002", "2e-3"))  # text to YAML 1.1
    assert "2e-3" in path.read_text()
    assert load_config(path) == config
    assert load_config(path).data.locate() == config.data.locate()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_configuration_is_valid_and_names_no_folder_but_data_roots(path):
    config = load_config(path)
    assert config.name == path.stem
    assert config.preset in PRESETS
    if path.stem != "quickstart":
        assert config.name.startswith(f"{config.task}-{config.preset}")
    paths = [*config.data.list_paths(), *([config.start] if config.start else [])]
    assert {split_reference(folder)[0] for folder in paths} - {"runs"} == set(config.data.roots)
    assert ".." not in path.read_text(encoding="utf-8")
    for root in config.data.roots.values():
        assert root.holds
        assert root.package or split_reference(root.path)[0] in {
            "runs",
            *(f"SPAIR_{name.upper()}" for name in config.data.roots),
        }


@pytest.mark.parametrize("name", list_configs())
def test_a_shipped_configuration_is_known_by_its_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()  # a folder of that name is no configuration
    assert load_config(Path(name)).name == name


def test_a_file_comes_before_a_shipped_configuration(configure, folder, monkeypatch):
    configure()
    monkeypatch.chdir(folder)
    (folder / "run.toml").rename(folder / "quickstart")
    assert load_config(Path("quickstart")).name == "test"


def test_configurations_are_shipped():
    assert {"quickstart", "rain-tiny"} <= set(list_configs())


def test_the_quickstart_needs_nothing_but_scikit_image(monkeypatch):
    for name in ("SPAIR_RAIN", "SPAIR_PHOTOS"):
        monkeypatch.delenv(name, raising=False)
    config = load_config(Path("quickstart"))
    paths = config.data.locate().photos
    assert all(path.is_file() for path in paths)
    assert set(config.data.held_out_photos) < {path.stem for path in paths}
    assert (config.start, config.data.pairs, config.data.simulate) == (None, (), 1.0)


@pytest.mark.parametrize(("text", "words"), [("", "nothing"), ("just text", "a str"), ("- 1", "a list")])
def test_a_file_without_named_entries_is_refused(tmp_path, refuse, text, words):
    (tmp_path / "run.yaml").write_text(text)
    refuse(f"holds {words}, expected named entries", load_config, tmp_path / "run.yaml")
    refuse("is a folder, expected a file", load_config, tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "a: 2020-13-45", "month must be in 1..12"),
        ("a.yaml", "a: &x [1]\nb: *x", "line 2 has an alias"),
        (
            "a.yaml",
            "\n".join(["a: &a [x]", *(f"{b}: &{b} [*{a}, *{a}]" for a, b in ("ab", "bc", "cd"))]),
            "has an alias",
        ),
        ("a.yaml", "1: 2", "the name 1 is no text"),
        ("a.yaml", "a: [{yes: 2}]", "the name True is no text"),
        ("a.yaml", "a: " + "1" * 5000, "digits"),
        ("a.yaml", "a: 0x" + "1" * 500, "more than 19 digits"),
        ("a.yaml", 'a: "\\uD800"', "half of a character"),
        ("a.yaml", "[" * 5000, "nested deeper than 64"),
        ("a.yaml", "a: " + "[" * 100 + "]" * 100, "nested deeper than 64"),
        ("a.yaml", "? [a]\n: b", "unhashable"),
        ("a.toml", "a = " + "1" * 5000, "digits"),
        ("a.toml", "a = " + "[" * 5000, "nested too deep|is not valid TOML"),
        ("a.toml", "#" * 70_000, "too large"),
        ("a.toml", "a = 2020-13-45", "line 1"),
    ],
)
def test_what_no_configuration_holds_is_refused_in_a_sentence(tmp_path, refuse, name, text, words):
    (tmp_path / name).write_text(text)
    refuse(f"{name} is not valid .*({words})", load_config, str(tmp_path / name))


def test_numbers_that_are_not_finite_are_refused(configure, refuse):
    refuse("memory_gb: .*finite", configure, ("workers = 0", "workers = 0\nmemory_gb = inf"))
