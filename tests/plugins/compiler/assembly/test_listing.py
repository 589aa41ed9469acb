"""Listings are read as nvdisasm writes them, loops included."""

import pytest

from spair.plugins.compiler import tools
from spair.plugins.compiler.assembly.listing import disassemble, read_listing
from spair.plugins.errors import PluginError

TEXT = """	.headerflags	@"EF_CUDA_SM90"
.text.kernel:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
.L_x_3:
        /*0010*/              @!P0 LDG.E.U16 R2, desc[UR4][R4.64] ;
.L_x_2:
        /*0020*/                   HGMMA.64x64x16.F32 R24, gdesc[UR8], R24, gsb0 ;
        /*0030*/               @P1 BRA `(.L_x_2) ;
        /*0040*/             @!UP2 UIADD3 UR4, UR4, 0x1, URZ ;
        /*0050*/                   BRA `(.L_x_9) ;
        /*0060*/               @P2 BRA `(.L_x_3) ;
.L_x_9:
        /*0070*/                   EXIT ;
.L_x_10:
        /*0080*/                   BRA `(.L_x_10);
        /*0090*/                   NOP;
"""


def test_instructions_stand_in_order_without_their_predicates():
    opcodes = read_listing(TEXT).opcodes
    assert opcodes[:3] == ("LDC", "LDG.E.U16", "HGMMA.64x64x16.F32")
    assert opcodes[4] == "UIADD3"
    assert len(opcodes) == 10


def test_loops_are_branches_back_and_the_last_endless_one_is_none():
    assert read_listing(TEXT).loops == ((1, 6), (2, 3))


def test_a_text_without_code_has_none():
    assert read_listing("hello").opcodes == read_listing("").opcodes == ()


def test_what_is_no_machine_code_is_refused_in_a_sentence(plugins):
    with pytest.raises(PluginError, match="nvdisasm does not read the machine code of a kernel: "):
        disassemble(b"hello")


def test_an_absent_disassembler_is_told(monkeypatch):
    monkeypatch.setattr(tools, "_package_folders", lambda name: [])
    with pytest.raises(PluginError, match=r"counted with nvdisasm, .*pip install 'spair-rt\[plugins\]'"):
        tools.find_disassembler.__wrapped__()
