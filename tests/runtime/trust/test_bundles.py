"""The code of a bundle is all that it lists as libraries and engines, and is trusted by what was shown."""

import pytest

from spair.runtime import UserError
from spair.runtime.bundle.reader import Bundle
from spair.runtime.bundle.writer import extend_bundle
from spair.runtime.trust.bundles import list_code, trust_bundle
from spair.runtime.trust.checking import check_trusted, library_folder, take_library
from spair.runtime.trust.store import list_trusted, trust_files, trusted_list
from tests.runtime.trust.conftest import ENGINE, LIBRARY, PART, add_code


@pytest.fixture
def built(bundles, cache):
    return add_code(bundles.spair(), b"library")


def test_libraries_and_engines_are_code_and_keys_and_graphs_are_not(built):
    found = list_code(built)
    assert [(one.target, one.file, one.bytes) for one in found] == [
        ("l4", LIBRARY, 7), ("l4", ENGINE, 4), ("l4", PART, 4)
    ]  # fmt: skip
    assert all(one.sha256 == built.manifest.files[one.file] for one in found)


def test_a_target_limits_the_list(built):
    file = "plugins/rtx/libspair_plugins.so"
    both = extend_bundle(built, {"targets": {"rtx": {"library": file, "autoload": "plugins/rtx/a.so"}}},
                         {file: b"rtx", "plugins/rtx/a.so": b"auto"})  # fmt: skip
    assert [one.file for one in list_code(both, "rtx")] == [file, "plugins/rtx/a.so"], "any library, whatever its key"
    assert len(list_code(both)) == 5
    with pytest.raises(UserError, match=r"nothing for the target 'ada' .it has: l4, rtx.; build it with: spair build"):
        list_code(both, "ada")


def test_a_bundle_without_code_needs_no_trust(bundles, cache):
    with pytest.raises(UserError, match="holds no plugin library and no engine, so there is nothing to trust"):
        trust_bundle(bundles.spair().path)
    assert not cache.exists()


def test_a_changed_file_is_refused_before_any_question(built):
    (built.path / ENGINE).write_bytes(b"else")
    with pytest.raises(UserError, match="fp16.engine was changed"):
        trust_bundle(built.path, confirm=lambda report: pytest.fail("asked"))


def test_what_was_shown_is_what_is_trusted(built):
    shown = []

    def confirm(report):
        shown.append(report)
        (built.path / LIBRARY).write_bytes(b"replaced while the user reads")

    report = trust_bundle(built.path, confirm=confirm)
    assert not any(entry["trusted"] for entry in shown[0]["files"])
    assert report["changed"] == 3 and all(entry["trusted"] for entry in report["files"])
    assert (report["bundle"], report["list"]) == (str(built.path), str(trusted_list()))
    assert list_trusted() == {entry["sha256"]: entry["file"].split("/")[-1] for entry in shown[0]["files"]}
    with pytest.raises(UserError, match=f"not built on this machine: {LIBRARY}"):
        check_trusted([built.path / LIBRARY, built.path / ENGINE], bundle=built.path)


def test_what_is_trusted_already_is_not_asked_for(built):
    trust_files([built.path / name for name in (LIBRARY, ENGINE, PART)])
    assert trust_bundle(built.path, confirm=lambda report: pytest.fail("asked"))["changed"] == 0


def test_a_no_changes_nothing(built):
    def refuse(report):
        raise UserError("no")

    with pytest.raises(UserError, match="no"):
        trust_bundle(built.path, confirm=refuse)
    assert list_trusted() == {}


def test_trust_is_taken_back_with_the_copies(built):
    trust_bundle(built.path)
    copy = take_library(built.path / LIBRARY, bundle=built.path)
    assert copy.parent == library_folder(built.manifest.files[LIBRARY]) and copy.exists()
    report = trust_bundle(built.path, remove=True, confirm=lambda report: pytest.fail("asked"))
    assert report["changed"] == 3 and not any(entry["trusted"] for entry in report["files"])
    assert list_trusted() == {} and not copy.parent.exists()
    assert trust_bundle(built.path, remove=True)["changed"] == 0


def test_tables_of_another_form_hide_no_code_from_the_check(built):
    """A reader that takes a path from elsewhere finds it untrusted."""
    odd = extend_bundle(built, {"targets": {"l4": {"library": LIBRARY, "engine_list": ["x.engine"]}}}, {})
    assert [one.file for one in list_code(Bundle.open(odd.path))] == [LIBRARY]
    trust_bundle(odd.path)
    with pytest.raises(UserError, match="not built on this machine"):
        check_trusted([odd.path / ENGINE], bundle=odd.path)
