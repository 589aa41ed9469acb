"""Finished jobs are found again, and a job that kills processes ends."""

import pytest

from spair.runtime.batch.jobs import FailureRecord, ImageRecord, SkipRecord
from spair.runtime.tiling.network import TileCounts
from spair.serving.cluster.journal import MAX_TRIES, NAME, Journal, format_outcome, open_journal, parse_outcome

IMAGE = ImageRecord("in/a ü.png", "out/a.png", 7, 1, 0.25, 0.5, TileCounts(1, 2, 3), {"net_l": 0.125}, "out/a.mask.png")
OUTCOMES = [IMAGE, FailureRecord("b.png", 'cannot read "b"'), SkipRecord("c.png")]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda one: type(one).__name__)
def test_outcomes_survive_json(outcome):
    assert parse_outcome(format_outcome(outcome)) == outcome


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda one: type(one).__name__)
def test_a_finished_job_is_found_by_every_process(tmp_path, outcome):
    Journal(tmp_path).finish(3, outcome)
    assert Journal(tmp_path).find(3) == outcome
    assert Journal(tmp_path).find(30) is None and Journal(tmp_path).find(0) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"kind": "ImageRecord"}', '{"kind": []}', '{"kind": "x", "a": NaN}', "\xff"]
)
def test_a_damaged_outcome_lets_the_job_be_done_again(tmp_path, text):
    (tmp_path / "3.json").write_bytes(text.encode("latin-1"))
    assert Journal(tmp_path).find(3) is None


def test_a_job_may_begin_a_few_times_only(tmp_path):
    begun = [Journal(tmp_path).begin(5) for _ in range(MAX_TRIES + 2)]
    assert begun == [True] * MAX_TRIES + [False] * 2
    assert Journal(tmp_path).begin(50), "another job has its own count"


def test_a_journal_is_gone_after_its_run_even_after_an_interrupt(tmp_path):
    (tmp_path / "result.png").touch()
    with pytest.raises(KeyboardInterrupt), open_journal(tmp_path) as folder:
        assert folder.parent == tmp_path and folder.name.startswith(f".{NAME}.")
        Journal(folder).finish(0, IMAGE)
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["result.png"]


def test_two_runs_into_one_folder_have_journals_of_their_own(tmp_path):
    with open_journal(tmp_path) as one, open_journal(tmp_path) as other:
        Journal(one).finish(0, IMAGE)
        assert Journal(other).find(0) is None


def test_others_may_enter_a_journal_as_they_may_enter_new_folders(tmp_path):
    (tmp_path / "new").mkdir()
    with open_journal(tmp_path) as folder:
        assert folder.stat().st_mode == (tmp_path / "new").stat().st_mode
