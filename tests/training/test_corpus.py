"""The pictures of a run: what is trained on, what is held out, what is refused before training starts."""

import numpy as np

from spair.runtime import Picture, write_image
from spair.training.corpus import load_corpus


def names(pairs) -> list[str]:
    return [pair.name for pair in pairs]


def test_held_out_pairs_are_not_trained_on(configure, folder):
    corpus = load_corpus(configure().data, 16)
    assert names(corpus.held_out) == [f"{folder.name}/0"]
    assert names(corpus.pairs) == [f"{folder.name}/1", f"{folder.name}/2"]
    assert len(corpus.photos) == 3


def test_unusable_data_is_named_before_training_starts(configure, folder, refuse):
    data = configure().data
    (folder / "rainy" / "1.png").rename(folder / "rainy" / "9.png")
    refuse("1.png|9.png", load_corpus, data, 16)
    (folder / "rainy" / "9.png").rename(folder / "rainy" / "1.png")
    refuse("smaller than patch=24", load_corpus, data, 24)
    refuse("names 77, but no pair has that stem", load_corpus, data.model_copy(update={"held_out": ("77",)}), 16)
    refuse("missing or holds no pictures", load_corpus, data.model_copy(update={"photos": (folder / "no",)}), 16)


def test_hidden_files_folders_and_formats_without_a_loader_are_no_photos(configure, folder, refuse):
    (folder / "photos" / "._1.png").write_text("resource fork")
    (folder / "photos" / "old.png").mkdir()
    (folder / "photos" / "scan.bmp").write_bytes(b"BM")
    write_image(folder / "photos" / "3.PNG", Picture(np.zeros((16, 16, 3), np.uint8)))
    data = configure().data
    assert len(load_corpus(data, 16).photos) == 4
    for path in (folder / "photos").glob("*.[pP]*"):
        path.rename(path.with_name(f".{path.name}"))
    refuse("holds no pictures", load_corpus, data, 16)


def test_nothing_to_train_on_is_refused(configure, refuse):
    held = ('held_out = ["0"]', 'held_out = ["0", "1", "2"]')
    data = configure(held, ('photos = ["photos"]', "")).data
    refuse("held_out keeps all 3 pairs .* nothing is left to train on", load_corpus, data, 16)
    assert not load_corpus(configure(held).data, 16).pairs  # photos are enough
