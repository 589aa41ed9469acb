"""A transport lingers only while its client is sending, and passes everything else on."""

from unittest import mock

import pytest

from spair.serving.http.lingering import LingeringTransport


def make(*, is_sending, can_write_eof=True):
    real = mock.Mock()
    real.is_closing.return_value = False
    real.can_write_eof.return_value = can_write_eof
    begin = mock.Mock()
    return real, begin, LingeringTransport(real, is_sending=lambda: is_sending, begin=begin)


def test_a_client_that_has_sent_everything_is_closed_at_once():
    real, begin, transport = make(is_sending=False)
    transport.close()
    real.close.assert_called_once_with()
    begin.assert_not_called()
    assert not transport.is_lingering


@pytest.mark.parametrize("can_write_eof", [True, False], ids=["plain", "TLS"])
def test_a_client_that_sends_is_read_on_until_the_cut(can_write_eof):
    real, begin, transport = make(is_sending=True, can_write_eof=can_write_eof)
    transport.close()
    transport.close()
    assert real.write_eof.call_count == can_write_eof and begin.call_count == 1
    real.resume_reading.assert_called_once_with()
    real.close.assert_not_called()
    assert transport.is_closing(), "nothing may be written any more"
    transport.cut()
    real.close.assert_called_once_with()


def test_a_lost_connection_does_not_linger():
    real, begin, transport = make(is_sending=True)
    real.is_closing.return_value = True
    transport.close()
    begin.assert_not_called()
    assert not transport.is_lingering


def test_everything_else_is_passed_on():
    real, _, transport = make(is_sending=False)
    transport.write(b"x")
    transport.abort()
    real.write.assert_called_once_with(b"x")
    real.abort.assert_called_once_with()
