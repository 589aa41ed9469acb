"""The day on a GPU, on made parts: each end is told apart, and nothing that was written is lost."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import day, plugins
from benchmarks.gpu.day import PARTS, Part, fill_command, run_day, run_part, write_page

SUMS = {"form": "listed", "kind": "fp16", "mask": "streak", "asked": 0.02, "sparse_ms": 0.5, "dense_ms": 4.0}
SUMS |= {"model_low_ms": 0.25, "model_high_ms": 0.75}
NETWORK = {"kind": "int8", "size": [64, 48], "density": 0.125, "sparse_ms": 1.5, "dense_ms": 3.0}
REPORT = {"device": "Made GPU", "sums": [SUMS], "network": [{"gate": "int8"}, NETWORK]}


def make_part(code: str, *, name: str = "made", writes: bool = True, seconds: int = 60) -> Part:
    """A part that runs Python; its only argument is the file to write."""
    return Part(name, seconds, (sys.executable, "-c", f"import sys, time; {code}", "{json}"), writes)


WRITING = make_part(f"open(sys.argv[1], 'w').write({json.dumps(REPORT)!r}); print('done')")


@pytest.mark.parametrize(
    ("part", "state"),
    [
        (WRITING, "passed"),
        (make_part("print('nothing measured: PyTorch finds no NVIDIA GPU')"), "absent"),
        (make_part("open(sys.argv[1], 'w').write('{\"half')"), "absent"),
        (make_part("print('no'); sys.exit(1)"), "failed"),
        (make_part("print('here', flush=True); time.sleep(600)", seconds=2), "out of time"),
        (make_part("print('88 passed')", writes=False), "passed"),
        (make_part("print('3 passed, 85 skipped')", writes=False), "absent"),
    ],
)
def test_ends_are_told_apart(part, state, tmp_path):
    assert run_part(part, tmp_path).state == state


def test_what_an_earlier_day_wrote_is_not_taken_for_new(tmp_path):
    (tmp_path / "made.json").write_text("{}")
    assert run_part(make_part("pass"), tmp_path).json is None


def test_last_words_are_kept(tmp_path):
    result = run_part(make_part("print('x' * 9000 + 'the end')"), tmp_path)
    assert result.said.endswith("the end") and len(result.said) == day.LAST_WORDS


def test_report_and_page_are_written_after_every_part(tmp_path, monkeypatch):
    seen = []
    right = day.run_part

    def look(part: Part, folder: Path):
        seen.append((folder / "day.json").exists())
        return right(part, folder)

    monkeypatch.setattr(day, "run_part", look)
    run_day(tmp_path / "new", [WRITING, make_part("pass", name="second")])
    assert seen == [False, True]
    report = json.loads((tmp_path / "new/day.json").read_text())
    assert [(part["name"], part["state"]) for part in report["parts"]] == [("made", "passed"), ("second", "absent")]
    page = (tmp_path / "new/day.md").read_text()
    assert "| listed | fp16 | streak | 2% | 0.500 ms | 4.000 ms | 0.250 to 0.750 ms |" in page
    assert "| int8 | 64x48 | 12.5% | 1.500 ms | 3.000 ms |" in page
    assert "Made GPU" in page


def test_nothing_is_timed_after_a_failure(tmp_path):
    parts = [make_part("sys.exit(3)", name="first"), WRITING]
    assert [result.name for result in run_day(tmp_path, parts)] == ["first"]
    assert "| made | 60 s | not run |  |" in (tmp_path / "day.md").read_text()
    assert not (tmp_path / "made.json").exists()


def test_a_day_fits_into_a_quarter_of_an_hour_and_its_commands_are_known():
    assert sum(part.seconds for part in PARTS) <= 12 * 60, "the rest is for compiling"
    files = [word for word in PARTS[0].command if word.startswith("tests/")]
    assert PARTS[0].name == "operators" and len(files) == 3
    assert all((Path(__file__).parents[3] / file).is_file() for file in files)
    for part in PARTS[1:]:
        words = fill_command(part, Path("out.json"))
        options = plugins.parse_arguments(words[words.index("benchmarks.gpu.plugins") + 1 :])
        own = "layers" if part.name == "tilings" else part.name
        assert (options.parts, options.size, options.json) == ((own,), (1920, 1080), Path("out.json"))
    layers, network, tilings = (plugins.parse_arguments(part.command[3:]) for part in PARTS[1:])
    assert tilings.forms == ("listed", *plugins.OTHERS) and tilings.densities == layers.densities
    assert list(layers.densities) == [0.02, 0.1, 0.35, 1.0] and layers.forms == plugins.FORMS
    assert network.both and set(network.kinds) == set(plugins.KINDS)


def test_the_plan_names_every_command_and_runs_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["day", str(tmp_path / "absent"), "--plan"])
    assert day.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" s: ")[0] for line in lines] == ["180", "240", "240", "60"]
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize(
    ("code", "expected"), [(f"open(sys.argv[1], 'w').write({json.dumps(REPORT)!r})", 0), ("pass", 1)]
)
def test_only_a_whole_day_succeeds(tmp_path, monkeypatch, capsys, code, expected):
    monkeypatch.setattr(day, "PARTS", (make_part(code),))
    monkeypatch.setattr(day, "find_reason", lambda: None)
    monkeypatch.setattr(sys, "argv", ["day", str(tmp_path)])
    assert day.main() == expected
    assert "| made | 60 s |" in capsys.readouterr().out


def test_without_a_gpu_nothing_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(day, "find_reason", lambda: "there is none")
    monkeypatch.setattr(sys, "argv", ["day", str(tmp_path / "absent")])
    assert day.main() == 0
    assert "nothing measured: there is none" in capsys.readouterr().err
    assert not (tmp_path / "absent").exists()


def test_a_page_without_results_lists_the_parts(tmp_path):
    assert "| network | 240 s | not run |  |" in write_page([], PARTS, tmp_path)
