"""A template holds little, and gives back the bundle that it was made from."""

import pytest

from spair.export.templates import main, make_template
from spair.runtime import Bundle, UserError
from spair.runtime.shipped.template import fill_template
from spair.runtime.shipped.tensors import read_tensors


def test_filled_in_it_is_the_bundle_it_was_made_from(tiny_bundle, tiny_checkpoint):
    bundle, tensors = Bundle.open(tiny_bundle), read_tensors(tiny_checkpoint)
    template = make_template(bundle, tensors)
    exported = {name: path.read_bytes() for name, path in bundle.contents().items()}
    assert fill_template(template, tensors) == exported
    assert template.manifest == bundle.manifest.raw


def test_no_weights_stay_in_it(tiny_bundle, tiny_checkpoint):
    """The weights are random and do not compress: 40 kB are less than a fiftieth of them."""
    template = make_template(Bundle.open(tiny_bundle), read_tensors(tiny_checkpoint))
    assert len(template.to_bytes()) < 40_000


def test_unknown_names_are_refused_before_anything_is_exported():
    with pytest.raises(UserError, match="no shipped weights fog; give names of rain, raindrop"):
        main(["rain", "fog"])
