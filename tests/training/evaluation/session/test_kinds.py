"""Kinds of evaluation follow from the source, and refuse what they cannot measure."""

import types
from pathlib import Path

import pytest

from spair.runtime import UserError
from spair.training.evaluation.session.kinds import Comparison, MaskKind, RestoredKind, choose_kind


def test_the_kind_follows_from_the_source():
    assert choose_kind(False, "rain", Comparison("floor")) == RestoredKind("rain", Comparison("floor"))
    assert choose_kind(True, "shadow", Comparison()) == MaskKind("shadow")
    with pytest.raises(UserError, match="alone compare masks: leave them out, or give --clean"):
        choose_kind(True, "shadow", Comparison(shift=1))
    with pytest.raises(UserError, match="snow"):
        choose_kind(False, "snow", Comparison())


def test_masks_alone_need_a_network_that_predicts_them():
    with pytest.raises(UserError, match="a.spair predicts no masks, .* give --clean as well"):
        MaskKind("shadow").check(types.SimpleNamespace(has_mask=False), Path("a.spair"))
    MaskKind("shadow").check(types.SimpleNamespace(has_mask=True), Path("a.spair"))
    RestoredKind("rain", Comparison()).check(types.SimpleNamespace(has_mask=False), Path("a.spair"))


def test_published_figures_belong_to_pictures_alone():
    assert MaskKind("shadow").publish("istd", "test", 540) is None
    assert RestoredKind("shadow", Comparison()).publish("istd", "test", 540)["named"]
