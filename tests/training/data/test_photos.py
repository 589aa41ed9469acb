"""Photographs of an installed package, in made rain."""

import socket

import numpy as np
import pytest

from spair.training.data import photos


def test_photographs_need_no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a photograph was downloaded")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    shapes = [photos.read_photo(file).shape for file in photos.PHOTOS]
    assert len(shapes) == 5 and all(min(shape[:2]) >= 300 and shape[2] == 3 for shape in shapes)


def test_a_photograph_that_is_gone_is_one_sentence():
    with pytest.raises(ValueError, match="scikit-image has no sample photo gone.png"):
        photos.read_photo("gone.png")


def test_rain_is_the_same_every_time_and_only_brightens():
    clean = photos.read_photo("chelsea.png")
    light, again, heavy = (photos.rain_on(clean, kind, seed=[7]) for kind in ("light", "light", "heavy"))
    assert (light == again).all() and light.dtype == np.uint8
    assert (light >= clean).all() and (heavy >= clean).all()
    assert 0 < (light > clean).mean() < (heavy > clean).mean()


def test_every_photograph_comes_in_both_rains_and_one_dry(monkeypatch):
    monkeypatch.setattr(photos, "PHOTOS", ("chelsea.png", "coffee.png"))
    kinds = [(sample.name, sample.rain) for sample in photos.sample_photos()]
    assert kinds == [
        ("chelsea", "dry"),
        ("chelsea", "light"),
        ("chelsea", "heavy"),
        ("coffee", "light"),
        ("coffee", "heavy"),
    ]
