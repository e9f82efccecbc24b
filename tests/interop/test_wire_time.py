"""The measurement itself: who is charged for a gap. Needs no lab."""

import pytest

from tests.interop.wire_time import Packet, waits

CLIENT, SERVER = "client", "server"


def test_a_gap_is_charged_to_the_side_that_ends_it() -> None:
    seen = [
        Packet(0.0, CLIENT, "ARP", "before the login"),
        Packet(1.0, CLIENT, "ISAKMP", ""),
        Packet(1.25, SERVER, "ISAKMP", ""),
        Packet(1.75, SERVER, "L2TP", ""),
        Packet(3.75, CLIENT, "PPP IPCP", "Configuration Ack"),
        Packet(4.0, SERVER, "PPP IPCP", "Configuration Ack"),
        Packet(9.0, SERVER, "ICMP", "after the login"),
    ]
    assert waits(seen, SERVER) == (1.0, 2.0, 0.5)


def test_half_a_login_has_no_figure() -> None:
    seen = [Packet(1.0, CLIENT, "ISAKMP", ""), Packet(2.0, CLIENT, "PPP IPCP", "Configuration Ack")]
    with pytest.raises(ValueError, match="no whole login"):
        waits(seen, SERVER)
