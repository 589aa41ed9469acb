"""`spair models` lists the shipped weights, and needs nothing that a plain installation lacks."""

from tests.cli.test_main import run_fresh

ABSENT = ("torch", "onnx", "onnxscript", "safetensors", "skimage", "lightning")


def test_json_has_an_entry_for_each(spair):
    listed = spair("models", "--json").json["models"]
    assert [entry["name"] for entry in listed] == ["rain", "raindrop", "shadow", "blur"]
    assert {key for entry in listed for key in entry} == {
        "name", "task", "preset", "parameters", "bytes", "sha256", "checkpoint", "card", "scores", "bundle", "cached",
    }  # fmt: skip


def test_the_tables_have_names_and_scores_in_80_columns(spair, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = spair("models")
    assert done.code == 0
    facts, scores = ([line.split() for line in part.splitlines()] for part in done.out.split("\n\n"))
    assert [row[:4] for row in facts[1:]] == [
        [name, name, "tiny", "636,999"] for name in ("rain", "raindrop", "shadow", "blur")
    ]
    assert ["rain", "Rain100L", "Y-PSNR", "26.72", "dB", "37.34", "dB"] in scores


def test_a_plain_installation_lists_and_restores_by_name(tmp_path):
    """Packages of the extras cannot be imported: what is left is what `pip install spair-rt` brings."""
    import numpy as np

    from spair.runtime import Picture, read_image, write_image

    pixels = np.random.default_rng(1).integers(0, 255, (20, 30, 3), np.uint8)
    write_image(tmp_path / "photo.png", Picture(pixels))
    absent = f"import sys\nfor name in {ABSENT}: sys.modules[name] = None\n"
    run = absent + "from spair.cli.main import main; main()"
    assert run_fresh(run, "models").returncode == 0
    code = f"import os; os.environ['SPAIR_CACHE'] = {str(tmp_path / 'cache')!r}\n" + run
    arguments = ("restore", "rain", str(tmp_path / "photo.png"), "--out", str(tmp_path / "out"), "--json")
    first, second = run_fresh(code, *arguments), run_fresh(code, *arguments)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stderr.count("made the bundle of rain, once, from the shipped weights: ") == 1
    assert "made the bundle" not in second.stderr
    assert read_image(tmp_path / "out" / "photo.png").pixels.shape == (20, 30, 3)


def test_torch_by_name_names_the_extra_where_it_is_absent(tmp_path):
    run = "import sys; sys.modules['torch'] = None\nfrom spair.cli.main import main; main()"
    done = run_fresh(run, "export", "rain", "--out", str(tmp_path / "rain.spair"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "needs the Python package torch" in done.stderr and "pip install 'spair-rt[export]'" in done.stderr
