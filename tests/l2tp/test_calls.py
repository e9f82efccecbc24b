"""Calls as the program sees them, and as ICRQ and ICCN say it."""

import pytest

from l2tp.calls import call_of, connected_of, proxy_of, request_of
from l2tp.constants import ProxyAuthenType
from l2tp.events import Call, Proxy

PLAIN = Call(serial_number=1, tx_speed=64000, rx_speed=64000, framing_type=1)
FULL = Call(
    serial_number=2,
    tx_speed=1000,
    rx_speed=2000,
    framing_type=3,
    bearer_type=2,
    calling_number="123",
    called_number="456",
    sub_address="7",
    physical_channel=9,
    private_group="group",
)
PROXY = Proxy(
    initial_received_confreq=b"a",
    last_sent_confreq=b"b",
    last_received_confreq=b"c",
    authen_type=ProxyAuthenType.CHAP,
    authen_name=b"alice",
    authen_challenge=b"challenge",
    authen_id=1,
    authen_response=b"response",
)


@pytest.mark.parametrize("call", [PLAIN, FULL])
@pytest.mark.parametrize("proxy", [None, PROXY, Proxy(authen_type=ProxyAuthenType.NONE)])
def test_there_and_back(call: Call, proxy: Proxy | None) -> None:
    request, connected = request_of(call, 5), connected_of(call, proxy, sequencing=False)
    assert request.assigned_session_id == 5
    assert call_of(request, connected) == call
    assert proxy_of(connected) == proxy


def test_what_is_not_there_is_not_sent() -> None:
    request, connected = request_of(PLAIN, 5), connected_of(PLAIN, None, sequencing=True)
    assert request.calling_number is None
    assert connected.rx_connect_speed is None
    assert connected.sequencing_required


def test_numbers_are_made_printable() -> None:
    request = request_of(PLAIN, 5)
    crafted = type(request)(
        assigned_session_id=5, call_serial_number=1, calling_number=b"1\n2\x1b\0"
    )
    assert call_of(crafted, connected_of(PLAIN, None, False)).calling_number == "1?2?"


def test_secrets_of_users_are_not_printed() -> None:
    assert "response'" not in repr(PROXY)
    assert "challenge'" not in repr(PROXY)
