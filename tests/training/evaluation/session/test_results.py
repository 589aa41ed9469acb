"""Results appear whole or not at all, and montages wait for all models."""

import types
from pathlib import Path

import numpy as np
import pytest

from spair.runtime import UserError
from spair.training.data.pairs import Pair
from spair.training.evaluation.session.results import Drawing, open_results


class Kind:
    """Kind of evaluation whose panels are words, kept for a look."""

    def __init__(self):
        self.drawn = []

    def make_column(self, measured):
        return (measured.made,)

    def draw(self, measured, models):
        self.drawn.append((measured.row["name"], models))
        return np.zeros((2, 3, 3), np.uint8)

    def draw_parts(self, measured):
        return {"mask": np.zeros((2, 3, 3), np.uint8)}

    def render(self, report, pictures):
        return f"{report} {pictures}"


def measured(name, made):
    return types.SimpleNamespace(row={"name": name}, made=made)


def list_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_montage_has_the_columns_of_all_models_in_order(tmp_path):
    kind, drawing = Kind(), Drawing(("ours", "peer"), separate=True)
    with open_results(tmp_path / "out", kind, drawing) as results:
        for number, model in ((1, "peer"), (0, "ours")):
            for name in ("a", "b"):
                results.keeper(number)(measured(name, f"{model} on {name}"))
        results.finish({"x": 1})
        assert not (tmp_path / "out" / "report.md").exists()
    assert kind.drawn == [
        (name, [("ours", (f"ours on {name}",)), ("peer", (f"peer on {name}",))]) for name in ("a", "b")
    ]
    pictures = ["pictures/a.png", "pictures/a/mask.png", "pictures/b.png", "pictures/b/mask.png"]
    assert list_files(tmp_path / "out") == [*pictures, "report.json", "report.md"]


def test_no_more_are_drawn_than_asked_for(tmp_path):
    kind = Kind()
    with open_results(tmp_path / "out", kind, Drawing(("ours",), most=1)) as results:
        for name in ("a", "b"):
            results.keeper(0)(measured(name, "x"))
    assert [name for name, _ in kind.drawn] == ["a"]


def test_a_failure_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError), open_results(tmp_path / "out", Kind(), Drawing(("ours",))) as results:
        results.finish({})
        raise RuntimeError
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match="cannot write into the folder .*file/out: .*; choose another --out"),
        open_results(tmp_path / "file" / "out", Kind(), Drawing(("ours",))),
    ):
        pass


def test_drawing_needs_a_folder():
    with (
        pytest.raises(UserError, match="--pictures and --separate .* give --out as well"),
        open_results(None, Kind(), Drawing(("ours",), most=1)),
    ):
        pass


def test_models_are_named_by_what_tells_them_apart():
    assert Drawing.of([Path("a/x.spair"), Path("b/x.spair")], None, False).models == ("a/x.spair", "b/x.spair")


@pytest.mark.parametrize("place", ["out", "out/pictures", "out/pictures/a"])
@pytest.mark.parametrize("role", ["input", "target", "mask"])
def test_pictures_that_are_measured_are_not_written_among(tmp_path, place, role):
    files = {"input": tmp_path / "a.png", "target": tmp_path / "b.png", "mask": None}
    with open_results(tmp_path / "out", Kind(), Drawing(("ours",))) as results:
        results.check_inputs([Pair("a", **files)])
        with pytest.raises(UserError, match=r"would lie among the pictures that are measured, such as .*; ch"):
            results.check_inputs([Pair("a", **(files | {role: tmp_path / place / "a.png"}))])
