from spair.training.evaluation.report.markdown import (
    count_pictures,
    escape_text,
    format_number,
    format_percent,
    label_models,
    link_name,
    list_chosen,
    render_gallery,
    render_table,
)


def test_models_are_named_by_as_many_folders_as_tell_them_apart():
    assert label_models(["a/x.spair", "b/y.spair"]) == ["x.spair", "y.spair"]
    assert label_models(["a/b/x", "c/b/x", "y"]) == ["a/b/x", "c/b/x", "y"]
    assert label_models(["x", "a/x"]) == ["x", "a/x"]
    assert label_models(["same", "same"]) == ["same", "same"]


def test_numbers_and_shares_are_a_dash_where_there_are_none():
    assert (format_number(0.12345, 3), format_number(None, 3)) == ("0.123", "–")
    assert (format_percent(0.123), format_percent(0.04567, 2), format_percent(None)) == ("12.3 %", "4.57 %", "–")


def test_names_are_escaped_as_text_and_quoted_as_paths():
    assert escape_text("a|b_c\n d") == r"a\|b\_c d"
    assert link_name("a|b", {"a|b": "pictures/a|b.png"}) == r"[a\|b](pictures/a%7Cb.png)"
    assert link_name("a|b", {}) == r"a\|b"


def test_a_table_has_its_rule_under_the_head():
    assert render_table([["", "x"], ["a", "1"]]) == "|  | x |\n| :-- | --: |\n| a | 1 |"


def test_a_gallery_has_the_lowest_middle_and_highest_of_those_drawn():
    images = [{"name": name, "rank": rank} for name, rank in (("d", 3), ("a", 0), ("b", 1), ("c", 2))]
    pictures = {name: f"{name}.png" for name in "bcd"}
    parts = render_gallery(images, pictures, lambda image: image["rank"], ("low", "mid", "high"), "rank")
    assert parts == [
        "## Pictures",
        "Low rank: b\n\n![b](b.png)",
        "Mid rank: c\n\n![c](c.png)",
        "High rank: d\n\n![d](d.png)",
    ]
    one = render_gallery(images, {"c": "c.png"}, lambda image: image["rank"], ("low", "mid", "high"), "rank")
    assert one[1:] == ["Low, mid, high rank: c\n\n![c](c.png)"]
    assert render_gallery(images, {}, lambda image: image["rank"], ("low", "mid", "high"), "rank") == []


def test_pictures_are_counted_and_chosen_ones_listed():
    assert (count_pictures(1), count_pictures(2)) == ("1 picture", "2 pictures")
    assert "--only 1,5" in list_chosen({"only": ["1", "5"]})[0]
    assert list_chosen({"only": None}) == list_chosen({}) == []
