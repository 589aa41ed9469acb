from typing import get_args

import numpy as np
import pytest

from spair.runtime.errors import UserError
from spair.training.evaluation import metrics
from spair.training.evaluation.protocols import MEASURES, PROTOCOLS, EvaluationProtocol, find_protocol


def test_every_protocol_of_the_command_line_is_defined_under_its_name():
    assert list(PROTOCOLS) == list(get_args(EvaluationProtocol))
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
def test_measures_are_those_that_exist_each_once_with_the_tables_first(protocol):
    gray = np.zeros((8, 8, 3), np.float32)
    known = metrics.image_measures(gray, gray) | metrics.raindrop_measures(gray, gray)
    assert set(protocol.measures) == {*MEASURES, *protocol.extra} <= set(known)
    assert len(set(protocol.measures)) == len(protocol.measures)
    assert protocol.measures[:2] == (protocol.psnr, protocol.ssim)
    assert protocol.words.endswith(".")


def test_an_unknown_protocol_lists_those_there_are():
    with pytest.raises(UserError, match="unknown protocol 'snow': choose one of rain, raindrop, shadow, blur"):
        find_protocol("snow")
