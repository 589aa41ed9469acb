"""Plot of `spair calibrate`."""

from spair.cli.calibrate.page import plot_losses


def test_bars_grow_with_the_loss():
    rows = [{"layer": f"l{i}", "db_lost": loss, "precision": "int8"} for i, loss in enumerate([0.0, 1e-5, 1e-3, 0.1])]
    svg = plot_losses(rows)
    widths = [float(piece.split('width="')[1].partition('"')[0]) for piece in svg.split("<rect")[1:]]
    assert widths == sorted(widths) and len(set(widths)) >= 3
    assert plot_losses([rows[0]]).count("<rect") == 1


def test_layers_that_were_not_measured_have_no_bar():
    rows = [{"layer": "a", "db_lost": None, "precision": "fp16"}, {"layer": "b", "db_lost": 0.01, "precision": "int8"}]
    assert plot_losses(rows).count("<rect") == 1 and "<svg" not in plot_losses(rows[:1])
