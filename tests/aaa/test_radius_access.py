"""What is asked of a RADIUS server for a login, and how its grants are read."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from aaa.radius.access import (
    Authorization,
    Nas,
    Port,
    authorization,
    chap_md5,
    eap,
    ms_chap_error,
    ms_chap_v2,
    ms_chap_v2_success,
    session_attributes,
)
from aaa.radius.constants import MICROSOFT, AttributeType, MicrosoftType
from aaa.radius.packet import Attribute, Attributes
from wire import DecodeError

NAS = Nas("vpn.example.com")
PORT = Port(17, "2f-17", "198.51.100.7", "203.0.113.1", "laptop")


def test_what_is_said_of_a_session() -> None:
    said = Attributes(session_attributes(NAS, PORT, "bob@sales.example.com"))
    assert said.text(AttributeType.USER_NAME) == "bob@sales.example.com"
    assert said.text(AttributeType.NAS_IDENTIFIER) == "vpn.example.com"
    assert said.text(AttributeType.CALLING_STATION_ID) == "198.51.100.7"
    assert said.text(AttributeType.CALLED_STATION_ID) == "203.0.113.1"
    assert said.text(AttributeType.TUNNEL_CLIENT_AUTH_ID) == "laptop"
    assert said.text(AttributeType.ACCT_SESSION_ID) == "2f-17"
    assert said.number(AttributeType.NAS_PORT) == 17
    assert said.number(AttributeType.TUNNEL_MEDIUM_TYPE) == 1
    outer6 = Attributes(session_attributes(NAS, Port(1, "1", "2001:db8::7", "2001:db8::1"), "bob"))
    assert outer6.number(AttributeType.TUNNEL_MEDIUM_TYPE) == 2


def test_proofs() -> None:
    chap = Attributes(chap_md5(9, b"challenge", b"r" * 16))
    assert chap.first(AttributeType.CHAP_PASSWORD) == b"\x09" + b"r" * 16
    assert chap.first(AttributeType.CHAP_CHALLENGE) == b"challenge"
    microsoft = dict(Attributes(ms_chap_v2(7, b"a" * 16, b"p" * 16, b"n" * 24)).of_vendor(311))
    assert microsoft[MicrosoftType.CHAP_CHALLENGE] == b"a" * 16
    assert microsoft[MicrosoftType.CHAP2_RESPONSE] == (
        b"\x07\x00" + b"p" * 16 + bytes(8) + b"n" * 24
    )
    long = Attributes(eap(b"e" * 600, b"state"))
    assert [len(piece) for piece in long.all(AttributeType.EAP_MESSAGE)] == [253, 253, 94]
    assert long.joined(AttributeType.EAP_MESSAGE) == b"e" * 600
    assert long.first(AttributeType.STATE) == b"state"


def vendor(number: int, kind: int, value: bytes) -> Attribute:
    return Attribute.of_vendor(number, kind, value)


@pytest.mark.parametrize(
    ("attributes", "granted"),
    [
        ([], Authorization()),
        (
            [Attribute(AttributeType.FRAMED_IP_ADDRESS, bytes([172, 16, 1, 9]))],
            Authorization(address=IPv4Address("172.16.1.9")),
        ),
        ([Attribute(AttributeType.FRAMED_IP_ADDRESS, b"\xff\xff\xff\xfe")], Authorization()),
        ([Attribute(AttributeType.FRAMED_IP_ADDRESS, b"\xff\xff\xff\xff")], Authorization()),
        (
            [
                Attribute.text(AttributeType.FRAMED_ROUTE, "10.9.0.0/16 0.0.0.0 1"),
                Attribute.text(AttributeType.FRAMED_ROUTE, "10.8.0.1"),
                Attribute.text(AttributeType.FRAMED_ROUTE, "172.20.0.0 0.0.0.0 1"),
                Attribute.text(AttributeType.FRAMED_ROUTE, "192.168.7.0 0.0.0.0 1"),
                Attribute.text(AttributeType.FRAMED_ROUTE, "10.8.0.1/32"),
            ],
            Authorization(
                routes=tuple(
                    map(
                        IPv4Network,
                        (
                            "10.9.0.0/16",
                            "10.0.0.0/8",
                            "172.20.0.0/16",
                            "192.168.7.0/24",
                            "10.8.0.1/32",
                        ),
                    )
                )
            ),
        ),
        (
            [
                Attribute(AttributeType.CLASS, b"one"),
                Attribute(AttributeType.CLASS, b"\xfftwo"),
                Attribute.text(AttributeType.FRAMED_POOL, "sales"),
                Attribute.text(AttributeType.FILTER_ID, "staff"),
            ],
            Authorization(classes=(b"one", b"\xfftwo"), pool="sales", filter_id="staff"),
        ),
        (
            [
                Attribute.number(AttributeType.SESSION_TIMEOUT, 3600),
                Attribute.number(AttributeType.IDLE_TIMEOUT, 600),
                Attribute.number(AttributeType.ACCT_INTERIM_INTERVAL, 300),
                Attribute.number(AttributeType.PORT_LIMIT, 2),
            ],
            Authorization(
                session_timeout=3600, idle_timeout=600, interim_interval=300, port_limit=2
            ),
        ),
        (
            [
                vendor(MICROSOFT, MicrosoftType.PRIMARY_DNS_SERVER, bytes([192, 168, 1, 53])),
                vendor(MICROSOFT, MicrosoftType.SECONDARY_DNS_SERVER, bytes([192, 168, 1, 54])),
                vendor(MICROSOFT, MicrosoftType.PRIMARY_NBNS_SERVER, bytes([192, 168, 1, 5])),
            ],
            Authorization(
                dns=(IPv4Address("192.168.1.53"), IPv4Address("192.168.1.54")),
                wins=(IPv4Address("192.168.1.5"),),
            ),
        ),
        (
            [
                vendor(14122, 7, (1_000_000).to_bytes(4, "big")),
                vendor(14122, 8, (9_000_000).to_bytes(4, "big")),
            ],
            Authorization(rate_up=1_000_000, rate_down=9_000_000),
        ),
        ([vendor(14988, 8, b"512k/10M")], Authorization(rate_up=512_000, rate_down=10_000_000)),
        ([vendor(14988, 8, b"2M")], Authorization(rate_up=2_000_000, rate_down=2_000_000)),
        ([vendor(14988, 8, b"1M/2M 3M/4M")], Authorization(rate_up=1_000_000, rate_down=2_000_000)),
        ([vendor(9, 1, b"of somebody else"), Attribute(200, b"?")], Authorization()),
    ],
)
def test_grants(attributes: list[Attribute], granted: Authorization) -> None:
    assert authorization(Attributes(attributes)) == granted


@pytest.mark.parametrize(
    "attribute",
    [
        Attribute(AttributeType.FRAMED_IP_ADDRESS, b"\x01"),
        Attribute.text(AttributeType.FRAMED_ROUTE, ""),
        Attribute.text(AttributeType.FRAMED_ROUTE, "home"),
        Attribute.text(AttributeType.FRAMED_ROUTE, "10.0.0.0/33"),
        Attribute.text(AttributeType.FRAMED_ROUTE, "10.0.0.0/"),
        Attribute(AttributeType.SESSION_TIMEOUT, b""),
        vendor(14122, 7, b""),
        vendor(14122, 8, b"\1\2\3\4\5"),
        vendor(MICROSOFT, MicrosoftType.PRIMARY_DNS_SERVER, b"\x01"),
        vendor(14988, 8, b"fast"),
        Attribute(AttributeType.VENDOR_SPECIFIC, b"\x00\x00\x01\x37\x1c\xff"),
        Attribute(AttributeType.VENDOR_SPECIFIC, b"\x00"),
    ],
)
def test_malformed_grants(attribute: Attribute) -> None:
    with pytest.raises(DecodeError):
        authorization(Attributes([attribute]))


def test_the_words_of_ms_chap_v2() -> None:
    success = vendor(MICROSOFT, MicrosoftType.CHAP2_SUCCESS, b"\x07S=0123")
    assert ms_chap_v2_success(Attributes([success])) == b"S=0123"
    assert ms_chap_v2_success(Attributes()) is None
    expired = vendor(MICROSOFT, MicrosoftType.CHAP_ERROR, b"\x07E=648 R=0 C=00 V=3 M=expired")
    assert ms_chap_error(Attributes([expired])) == 648
    assert ms_chap_error(Attributes([vendor(MICROSOFT, MicrosoftType.CHAP_ERROR, b"")])) == 691
    assert ms_chap_error(Attributes()) == 691
