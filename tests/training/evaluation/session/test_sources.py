"""Sources name one choice of pictures, whole, and choose by name."""

from pathlib import Path

import pytest

from spair.runtime import UserError
from spair.training.data.pairs import Pair
from spair.training.evaluation.session.sources import Sources, choose_pairs, split_names

A, B = Path("a"), Path("b")
PAIRS = [Pair(name, A / name, B / name) for name in ("1", "2", "10")]


def test_masks_alone_are_a_source_without_clean_pictures():
    assert Sources(A, mask=B).masks_alone
    assert not Sources(A, B).masks_alone and not Sources(dataset="istd", root=A).masks_alone


@pytest.mark.parametrize(
    ("dataset", "task"), [(None, None), ("istd", "shadow"), ("gopro", "blur"), ("no such layout", None)]
)
def test_the_task_is_that_of_the_layout(dataset, task):
    sources = Sources(A, B) if dataset is None else Sources(dataset=dataset, root=A)
    assert sources.task() == task


def test_the_report_has_the_data_set_and_the_chosen_names():
    assert Sources(A, B).to_json() == {"dataset": None, "only": None}
    assert Sources(dataset="istd", root=A, split="test", only=("1",)).to_json() == {
        "dataset": {"layout": "istd", "root": "a", "split": "test"},
        "only": ["1"],
    }


@pytest.mark.parametrize(("text", "names"), [(None, ()), ("1", ("1",)), (" 2, 1,2,", ("2", "1"))])
def test_names_are_split_at_commas_each_once(text, names):
    assert split_names(text) == names


def test_chosen_pairs_keep_their_order_and_no_names_choose_all():
    assert choose_pairs(PAIRS, ()) == PAIRS
    assert [pair.name for pair in choose_pairs(PAIRS, ("10", "1"))] == ["1", "10"]
    with pytest.raises(UserError, match="--only names 3, but the pictures are 1, 2, 10"):
        choose_pairs(PAIRS, ("1", "3"))
