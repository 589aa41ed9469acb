"""Options of `spair evaluate` against what evaluation knows."""

from typing import get_args

from spair.cli.evaluate import options
from spair.training.evaluation.metrics import QuantizeMode
from spair.training.evaluation.protocols import PROTOCOLS


def test_every_protocol_can_be_chosen_and_none_is_needed():
    protocol, nothing = get_args(get_args(options.Protocol)[0])
    assert set(get_args(protocol)) == set(PROTOCOLS)
    assert nothing is type(None)


def test_every_form_of_an_8_bit_output_can_be_chosen():
    assert set(get_args(get_args(options.Quantize)[0])) == set(get_args(QuantizeMode))
