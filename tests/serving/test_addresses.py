"""Addresses and files of TLS are checked before anything else, in one sentence."""

import socket
import subprocess

import pytest

from spair.runtime import UserError
from spair.serving.addresses import TlsFiles, bind_socket, resolve_host
from tests.serving.network import make_certificate


@pytest.mark.parametrize(
    ("host", "numbers", "is_loopback", "name"),
    [
        ("127.0.0.1", "127.0.0.1", True, "127.0.0.1:80"),
        ("127.9.9.9", "127.9.9.9", True, "127.9.9.9:80"),
        ("0.0.0.0", "0.0.0.0", False, "0.0.0.0:80"),
        ("::1", "::1", True, "[::1]:80"),
        ("::", "::", False, "[::]:80"),
        ("192.0.2.7", "192.0.2.7", False, "192.0.2.7:80"),
    ],
)
def test_hosts_are_told_apart_by_who_reaches_them(host, numbers, is_loopback, name):
    address = resolve_host(host)
    assert (address.host, address.is_loopback, address.name(80)) == (numbers, is_loopback, name)


@pytest.mark.parametrize("host", ["no such host", "a" * 300, "256.1.1.1.1"])
def test_a_host_without_an_address_is_refused(host):
    with pytest.raises(UserError, match="cannot find the address of the host .*give an address of this machine"):
        resolve_host(host)


def test_a_port_in_use_is_refused_at_once():
    with bind_socket(resolve_host("127.0.0.1"), 0, "--port") as first:
        port = first.getsockname()[1]
        with pytest.raises(
            UserError, match=rf"cannot listen on 127.0.0.1:{port}: Address already in use; give another --port"
        ):
            bind_socket(resolve_host("127.0.0.1"), port, "--port")


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(UserError, match="cannot listen on 192.0.2.7:0: Cannot assign"):
        bind_socket(resolve_host("192.0.2.7"), 0, "--port")


def test_sockets_name_their_protocol_so_that_answers_go_out_at_once():
    with bind_socket(resolve_host("127.0.0.1"), 0, "--port") as bound:
        assert bound.proto == socket.IPPROTO_TCP


def test_a_certificate_and_its_key_are_loaded(tmp_path):
    files = make_certificate(tmp_path, "own")
    assert len(files.load().get_ca_certs()) == 0
    assert files.read() == (files.certificate.read_bytes(), files.key.read_bytes())


def test_files_of_tls_that_do_not_fit_are_refused(tmp_path):
    own, other = make_certificate(tmp_path, "own"), make_certificate(tmp_path, "other")
    with pytest.raises(
        UserError, match="cannot use the certificate .*own.pem with the key .*other.key.*its own private key"
    ):
        TlsFiles(own.certificate, other.key).load()
    with pytest.raises(UserError, match="cannot read .*absent of --key: No such file"):
        TlsFiles(own.certificate, tmp_path / "absent").load()
    with pytest.raises(UserError, match="cannot read .* of --cert: Is a directory"):
        TlsFiles(tmp_path, own.key).load()
    (tmp_path / "text").write_text("no certificate")
    with pytest.raises(UserError, match="cannot use the certificate .*text"):
        TlsFiles(tmp_path / "text", own.key).load()


def test_an_encrypted_key_is_refused_rather_than_asked_for(tmp_path):
    own = make_certificate(tmp_path, "own")
    locked = tmp_path / "locked.key"
    command = ["openssl", "ec", "-in", own.key, "-out", locked, "-aes256", "-passout", "pass:secret"]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(UserError, match=r"the key .*locked.key is encrypted"):
        TlsFiles(own.certificate, locked).load()
