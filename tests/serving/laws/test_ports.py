"""Programs of tests listen on ports that nobody else gets."""

from tests.serving.network import PORTS, find_ports


def test_no_port_is_found_twice():
    found = [*find_ports(3), *find_ports(3)]
    assert len(set(found)) == 6 and set(found) <= set(PORTS)
