"""Output of a run on the terminal."""

import logging
import warnings

import pytest

from spair.training.data.corpus import load_corpus
from spair.training.loop.state import State
from spair.training.loop.terminal import StageBar, counting_pictures, describe_start, quiet
from spair.training.run import train


def test_what_is_trained_on_and_from_where(configure, masked):
    config = configure(masked, ('held_out = ["0"]', 'held_out = ["0", "b"]'), stages=[("net_l", 3), ("both", 5)])
    corpus = load_corpus(config.data, 16)
    counts = "training on 2 pairs, 3 clean photographs, 1 photograph with its mask; 2 held out; "
    assert describe_start(config, corpus, None) == counts + "starting"
    state = State(1, 4, 2, {}, {})
    assert describe_start(config, corpus, state) == counts + "continuing after step 4 of stage 2 of 2 (both)"


def test_the_bar_names_the_stage_and_nothing_of_the_log(configure, folder, monkeypatch, capsys):
    seen = []
    metrics = StageBar.get_metrics

    def watched(self, trainer, module):
        seen.append((self._get_train_description(trainer.current_epoch), set(metrics(self, trainer, module))))
        return metrics(self, trainer, module)

    monkeypatch.setattr(StageBar, "get_metrics", watched)
    train(configure(stages=[("net_l", 3), ("net_r", 1)]), folder / "runs")
    assert {words for words, _ in seen} >= {"stage 1 of 2 (net_l), epoch 2 of 2", "stage 2 of 2 (net_r), epoch 1 of 1"}
    shown = set().union(*(names for _, names in seen))
    assert {"mask_loss", "image_loss"} <= shown and "v_num" not in shown
    err = capsys.readouterr().err
    assert "training on 2 pairs, 3 clean photographs; 1 held out; starting" in err
    assert "litlogger" not in err and "GPU available" not in err


def test_the_trainers_remarks_are_kept_back_and_those_of_others_are_not(caplog):
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet():
            warnings.warn_explicit("theirs", UserWarning, "x.py", 1, module="lightning.pytorch.trainer")
            warnings.warn_explicit("ours", UserWarning, "x.py", 2, module="spair.training")
            logging.getLogger("lightning.pytorch.utilities.rank_zero").warning("a tip")
    assert [str(one.message) for one in caught] == ["ours"]
    assert "a tip" not in caplog.text
    assert logger.level == level


@pytest.mark.parametrize(("shown", "rank"), [(False, 0), (True, 1)])
def test_pictures_are_counted_by_the_first_process_only(monkeypatch, shown, rank):
    monkeypatch.setattr("spair.training.loop.terminal.rank_zero_only.rank", rank)
    with counting_pictures(shown) as count:
        assert count is None


def test_pictures_are_counted_on_stderr(monkeypatch, capsys):
    monkeypatch.setattr("spair.training.loop.terminal.rank_zero_only.rank", 0)
    with counting_pictures(True) as count:
        count(1, 2, "[a].png")
    assert capsys.readouterr().out == ""
