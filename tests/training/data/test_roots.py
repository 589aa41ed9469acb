"""Data roots: where each form of a path leads, and one sentence for a root that is missing."""

from pathlib import Path

import pytest

from spair.runtime import UserError
from spair.training.config_file import load_config


def root(text: str) -> tuple[str, str]:
    """Return the change of the configuration that adds the data root `photos`."""
    return ("[data]", f"[data.roots]\nphotos = {text}\n[data]")


def use(path: str) -> tuple[str, str]:
    return ('photos = ["photos"]', f'photos = ["{path}"]')


def test_a_data_root_is_relative_to_the_file(configure, folder, monkeypatch):
    monkeypatch.chdir("/")
    data = configure(root('"photos"'), use("${photos}")).data
    assert data.locate().photos == (folder / "photos",)


def test_a_data_root_begins_with_a_variable_of_the_environment(configure, folder, monkeypatch):
    monkeypatch.setenv("MY_DATA", str(folder))
    assert configure(root('"${MY_DATA}/photos"'), use("${photos}")).data.locate().photos == (folder / "photos",)
    assert configure(use("${MY_DATA}/photos")).data.locate().photos == (folder / "photos",)


def test_a_relative_folder_from_outside_the_file_starts_where_the_command_runs(configure, folder, monkeypatch):
    (folder / "below").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MY_DATA", "below")
    assert configure(use("${MY_DATA}")).data.locate().photos == (folder / "below",)
    configure(root("{}"), use("${photos}"))
    given = load_config(folder / "run.toml", {"photos": Path("below")})
    assert given.data.locate().photos == (folder / "below",)


def test_a_given_folder_replaces_that_of_the_file(configure, folder):
    configure(root('"nowhere"'), use("${photos}"))
    data = load_config(folder / "run.toml", {"photos": folder / "photos"}).data
    assert data.locate().photos == (folder / "photos",)
    assert data.model_dump(mode="json")["photos"] == ["${photos}"]
    assert data.model_dump(mode="json")["roots"]["photos"]["path"] == "nowhere"


def test_a_data_root_lies_in_a_package(configure):
    import skimage

    data = configure(root('{ package = "skimage", path = "data" }'), use("${photos}/coffee.png")).data
    assert data.locate().photos == (Path(skimage.__file__).parent / "data" / "coffee.png",)


@pytest.mark.parametrize("package", ["no_such.inner", "", "."], ids=str)
def test_a_package_that_cannot_be_found_is_refused(configure, package):
    with pytest.raises(UserError, match="data root photos lies in the Python package .* not installed"):
        configure(root(f'{{ package = "{package}" }}'), use("${photos}")).data.locate()


def test_a_second_reference_is_refused(configure):
    with pytest.raises(UserError, match="has to be the first part of a path"):
        configure(root('"photos"'), use("${photos}/${photos}"))


def test_runs_is_the_folder_of_the_runs(configure, folder):
    configure(use("${runs}/labels"))
    data = load_config(folder / "run.toml", runs=folder / "mine").data
    assert data.locate().photos == (folder / "mine" / "labels",)


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (
            '{ path = "${UNSET_HERE}", holds = "photographs" }',
            "${photos}",
            r"data root photos has no folder; give --data photos=FOLDER \(or set UNSET_HERE\) with photographs$",
        ),
        ("{}", "${photos}/a", "the data root photos has no folder; give --data photos=FOLDER with a$"),
        (
            '"nowhere"',
            "${photos}",
            r"photos is .*/nowhere, which is not a folder; give --data photos=FOLDER with the pictures$",
        ),
        ('{ package = "no_such_package" }', "${photos}", "package no_such_package, which is not installed; install it"),
    ],
)
def test_a_missing_data_root_says_what_to_give(configure, refuse, monkeypatch, text, path, message):
    monkeypatch.delenv("UNSET_HERE", raising=False)
    refuse(message, configure(root(text), use(path)).data.locate)


def test_all_missing_data_roots_are_one_sentence(configure, refuse):
    roots = ("[data]", "[data.roots]\nwet = {}\nphotos = {}\n[data]")
    data = configure(roots, use("${photos}"), ('input = "rainy"', 'input = "${wet}/rainy"')).data
    advice = "give --data wet=FOLDER with rainy, and --data photos=FOLDER with the pictures$"
    refuse(f"the data root wet has no folder, the data root photos has no folder; {advice}", data.locate)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([use("${photo}")], r"run.toml: \$\{photo\} is no data root .* no environment .*; it has no data roots"),
        ([root('"photos"'), use("${photo}")], "did you mean photos\\? data roots are photos"),
        ([use("my/${photos}")], r"run.toml: my/\$\{photos\}: \$\{NAME\} has to be the first part of a path"),
        ([root('"my/${X}"'), use("${photos}")], r"my/\$\{X\}: \$\{NAME\} has to be the first part of a path"),
        ([root('{ folder = "photos" }')], "data.roots.photos.folder: unknown entry; expected path, package, holds"),
        ([root("3")], "data.roots.photos: expected a table with path, package, holds, got 3"),
        ([("[data]", '[data.roots]\nruns = "there"\n[data]')], "a data root cannot be called runs"),
    ],
)
def test_unknown_names_are_refused_when_the_file_is_read(configure, refuse, monkeypatch, changes, message):
    for name in ("photo", "photos", "X"):
        monkeypatch.delenv(name, raising=False)
    refuse(message, configure, *changes)


def test_a_folder_for_an_unknown_data_root_is_refused(configure, folder, refuse):
    configure(root('"photos"'), use("${photos}"))
    message = "--data phots=there is for no data root of this configuration; did you mean photos"
    refuse(message, load_config, folder / "run.toml", {"phots": Path("there")})
