"""Values of Net_R's rows stand in buffers that nobody still reads."""

import dataclasses

import pytest

from spair.runtime.bundle.reader import Bundle
from spair.runtime.cpu.memory.forms import FLOAT, HALF
from spair.runtime.cpu.opening import read_rows
from spair.runtime.cpu.program import ConvolveRows
from spair.runtime.cpu.restoration import RowRestorer


@pytest.fixture
def program(tiny_bundle):
    return read_rows(Bundle.open(tiny_bundle), "fp32")


@pytest.mark.parametrize("halves", [False, True])
def test_a_sum_takes_the_buffer_of_what_it_adds_unless_it_reads_that_too(library, program, halves):
    """Rows beside a written one are still read as neighbours."""
    form = HALF if halves else FLOAT
    shared = RowRestorer(library, program, halves=halves)
    sums = [step for step in program.net_r if isinstance(step, ConvolveRows) and step.add and step.x != step.add]
    taken = [step for step in sums if shared.buffer_of(step.out, form) == shared.buffer_of(step.add, form)]
    assert taken, "no sum of the network replaces what it adds"
    step = next(step for step in taken if program.arrays[step.weight].shape[0] == program.arrays[step.weight].shape[1])
    changed = [dataclasses.replace(step, x=step.add) if one is step else one for one in program.net_r]
    own = RowRestorer(library, dataclasses.replace(program, net_r=tuple(changed)), halves=halves)
    assert own.buffer_of(step.out, form) != own.buffer_of(step.add, form)
