"""`spair inspect`: what it says of bundles and checkpoints, and which bundles every verb refuses."""

import pytest

from spair.network import SPAIR, TINY
from spair.network.cost import multiply_adds, parameters
from spair.runtime import Bundle
from spair.runtime.files import sha256
from tests.export.polygraphy.conftest import add_engine


def test_bundle_and_checkpoint_say_the_same_of_the_network(spair, tiny_bundle, tiny_checkpoint):
    bundle, checkpoint = (spair("inspect", model, "--json").json for model in (tiny_bundle, tiny_checkpoint))
    for key in ("preset", "task", "parameters", "parameters_by_block", "macs", "macs_share", "precisions", "targets"):
        assert bundle[key] == checkpoint[key], key
    assert (bundle["kind"], checkpoint["kind"]) == ("spair", "checkpoint")
    assert bundle["checkpoint"]["sha256"] == checkpoint["sha256"]
    assert bundle["parameters"] == parameters(SPAIR(TINY))


def test_work_is_per_pixel_and_as_share(spair, tiny_checkpoint):
    report = spair("inspect", tiny_checkpoint, "--json").json
    counted = multiply_adds(TINY, 256, 256)
    assert report["macs"]["net_r"] == pytest.approx(counted["net_r"] / 256**2, abs=0.1)
    assert report["macs_share"]["net_l"] + report["macs_share"]["net_r"] == pytest.approx(1, abs=0.001)


def test_parameters_are_told_by_block(spair, tiny_checkpoint):
    report = spair("inspect", tiny_checkpoint, "--json").json
    assert set(report["parameters_by_block"]) == set(report["macs"])
    assert report["parameters_by_block"]["total"] == report["parameters"]
    assert f"{report['parameters_by_block']['net_r.scm.0']:,}" in spair("inspect", tiny_checkpoint).out


def test_what_a_bundle_does_not_say_is_null(spair, edit_manifest, bundle):
    edit_manifest(lambda manifest: manifest.pop("preset_fields"))
    report = spair("inspect", bundle, "--json").json
    for key in ("parameters", "parameters_by_block", "macs", "macs_share"):
        assert report[key] is None, key
    assert "not known" in spair("inspect", bundle).out


def test_a_bundle_without_graphs_is_shown(spair, edit_manifest, bundle):
    edit_manifest(lambda manifest: manifest.update(kind="foreign", graphs={}, network={"multiple": 1, "halo": 0}))
    report = spair("inspect", bundle, "--json").json
    assert (report["parameters"], report["macs"], report["precisions"]) == (None, None, [])


def test_checks_tell_hashes_and_parity(spair, tiny_bundle):
    checks = spair("inspect", tiny_bundle, "--json").json["checks"]
    assert checks["hashes"] == {"files": 6, "passed": True}
    assert checks["numbers"] == {"graphs": 4, "passed": True}
    assert checks["parity"]["passed"] and checks["parity"]["cases"] > 0


def test_the_digest_is_told_to_programs_and_people(spair, tiny_bundle, tiny_checkpoint, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    for model, digest in ((tiny_bundle, Bundle.open(tiny_bundle).digest), (tiny_checkpoint, sha256(tiny_checkpoint))):
        assert spair("inspect", model, "--json").json["digest"] == digest
        assert ["digest", digest] in [line.split() for line in spair("inspect", model).out.splitlines()]


def test_people_get_the_same_in_words(spair, tiny_bundle):
    done = spair("inspect", tiny_bundle)
    assert done.code == 0
    for text in ("636,999", "net_r.scm.0", "files 6", "fp32"):
        assert text in done.out


def test_work_is_counted_from_the_sizes_in_the_bundle_not_from_the_presets_name(spair, bundle, edit_manifest):
    before = spair("inspect", bundle, "--json").json

    def widen(manifest):
        manifest["preset"] = manifest["preset_fields"]["name"] = "mine"
        manifest["preset_fields"]["channels"][0] *= 2

    edit_manifest(widen)
    report = spair("inspect", bundle, "--json").json
    assert report["macs"]["net_r.scm.0"] == 4 * before["macs"]["net_r.scm.0"]
    assert report["macs"]["net_l"] == before["macs"]["net_l"]
    assert report["parameters"] > before["parameters"]


class TestPolygraphy:
    def test_a_folder_is_written_and_people_are_told_where(self, spair, bundle, tmp_path):
        add_engine(bundle)
        run = spair("inspect", bundle, "--polygraphy", tmp_path / "out")
        assert run.code == 0, run.err
        assert f"12 files in {tmp_path / 'out'}; begin with its README.md" in run.out
        assert "thresholds fp32: restored " in run.out and "636,999" in run.out
        report = spair("inspect", bundle, "--polygraphy", tmp_path / "again", "--json").json["polygraphy"]
        assert report["folder"] == str(tmp_path / "again") and "README.md" in report["files"]
        assert report["thresholds"]["fp32"].keys() == {"restored", "mask", "total", "natural"}

    def test_without_the_option_nothing_is_said_of_it(self, spair, bundle):
        assert "polygraphy" not in spair("inspect", bundle, "--json").json

    def test_a_folder_with_files_is_refused(self, spair, bundle, tmp_path):
        add_engine(bundle)
        spair("inspect", bundle, "--polygraphy", tmp_path).refused(
            "the folder is not empty; choose another --polygraphy"
        )

    def test_a_bundle_without_engines_is_refused(self, spair, bundle, tmp_path):
        spair("inspect", bundle, "--polygraphy", tmp_path / "out").refused("has no engine for Polygraphy")
        assert not (tmp_path / "out").exists()

    def test_a_foreign_network_is_refused(self, spair, bundle, edit_manifest, tmp_path):
        edit_manifest(lambda manifest: manifest.update(kind="foreign", network={"multiple": 8, "halo": 8}))
        spair("inspect", bundle, "--polygraphy", tmp_path / "out").refused(
            "holds a foreign network, which has no engines"
        )

    def test_a_checkpoint_is_refused(self, spair, tiny_checkpoint, tmp_path):
        spair("inspect", tiny_checkpoint, "--polygraphy", tmp_path / "out").refused(
            "--polygraphy is for the engines of a bundle, and .* is a checkpoint"
        )


MODEL = "graphs/fp32/net_r.onnx"


def change_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("verb", ["inspect", "restore", "evaluate"])
class TestDamagedBundles:
    @pytest.fixture
    def run(self, spair, bundle, pairs, verb):
        options = {
            "inspect": [],
            "restore": [pairs / "input", "--out", pairs / "out"],
            "evaluate": ["--input", pairs / "input", "--clean", pairs / "target"],
        }
        yield lambda: spair(verb, bundle, *options[verb])
        assert not (pairs / "out").exists()

    @pytest.mark.parametrize("part", ["net_r", "model"])
    def test_a_changed_byte_also_in_a_graph_that_this_machine_does_not_use(self, run, bundle, part):
        change_byte(bundle / f"graphs/fp32/{part}.onnx")
        run().refused(f"{part}.onnx was changed: its SHA-256")

    def test_a_missing_file(self, run, bundle):
        (bundle / MODEL).unlink()
        run().refused("incomplete: graphs/fp32/net_r.onnx is missing")

    def test_a_path_that_leaves_it(self, run, edit_manifest):
        edit_manifest(lambda manifest: manifest["files"].update({"../outside.onnx": "0" * 64}))
        run().refused("'../outside.onnx' may not be in a bundle")

    def test_a_newer_schema(self, run, edit_manifest):
        edit_manifest(lambda manifest: manifest.update(schema=99))
        run().refused("has schema 99 .* upgrade spair-rt")

    def test_no_manifest(self, run, bundle):
        (bundle / "manifest.json").unlink()
        run().refused("it has no manifest.json")

    def test_a_manifest_that_is_no_json(self, run, bundle):
        (bundle / "manifest.json").write_text("{")
        run().refused("it is not JSON")
