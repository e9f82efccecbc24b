"""Bodies of payloads and proposals, octet by octet."""

import pytest

from ipsec.constants import IdType, NotifyType, ProtocolId
from ipsec.errors import NotifyError
from ipsec.payloads import Delete, Identification, Notification, OriginalAddress, read_notifications
from ipsec.proposals import Attribute, Proposal, SecurityAssociation, Transform
from wire import DecodeError, Reader


def reader(text: str) -> Reader:
    return Reader(bytes.fromhex(text))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("011106a50a010002", "10.1.0.2/17/1701"),
        ("010000000a010002", "10.1.0.2"),
        ("0500000020010db8000000000000000000000001", "2001:db8::1"),
        ("0200000076706e2e6578616d706c652e636f6d", "vpn.example.com"),
        ("0b0000000001ff", "0001ff"),
        ("0b000000", ""),
        ("040000000a000000ff000000", "0a000000ff000000"),
    ],
)
def test_identifications(text: str, name: str) -> None:
    identification = Identification.parse(reader(text))
    assert str(identification) == name
    assert identification.build().hex() == text


@pytest.mark.parametrize("text", ["", "0100", "010000000a0100", "010000000a01000203", "05000000"])
def test_identifications_that_are_none(text: str) -> None:
    with pytest.raises(DecodeError):
        Identification.parse(reader(text))


def test_identifications_of_addresses() -> None:
    assert Identification.of_address("10.1.0.2", 17, 1701).build().hex() == "011106a50a010002"
    assert Identification.of_address("2001:db8::1").type == IdType.IPV6_ADDR
    assert Identification(IdType.FQDN, 0, 0, b"x").address is None


def test_notifications() -> None:
    text = "00000001 01 10 8d28 e9d518f4f1fd71b066b0e45bae8542e3 0000a662"
    notification = Notification.parse(reader(text))
    assert notification.type == NotifyType.R_U_THERE
    assert notification.protocol == ProtocolId.ISAKMP
    assert len(notification.spi) == 16
    assert notification.data.hex() == "0000a662"
    assert notification.build() == bytes.fromhex(text)
    assert len(Notification(NotifyType.NO_PROPOSAL_CHOSEN).build()) == 8


def test_notifications_that_are_none_are_passed_over() -> None:
    good = Notification(NotifyType.INITIAL_CONTACT)
    assert list(read_notifications([b"", good.build(), b"\0\0\0\1\1\x10\x8d\x28"])) == [good]


def test_deletes() -> None:
    text = "00000001 03 04 0002 cd1ec012 c8aafd6d"
    delete = Delete.parse(reader(text))
    assert delete.spis == (bytes.fromhex("cd1ec012"), bytes.fromhex("c8aafd6d"))
    assert delete.build() == bytes.fromhex(text)
    assert Delete(ProtocolId.ESP, ()).build().hex() == "0000000103000000"


@pytest.mark.parametrize(
    "text", ["", "0000000103040002cd1ec012", "0000000103040001cd1ec01200", "000000010300ffff"]
)
def test_deletes_that_are_none(text: str) -> None:
    with pytest.raises(DecodeError):
        Delete.parse(reader(text))


@pytest.mark.parametrize("text", ["010000000a010002", "05000000" + "20" * 16])
def test_original_addresses(text: str) -> None:
    assert OriginalAddress.parse(reader(text)).build().hex() == text


@pytest.mark.parametrize("text", ["", "020000000a010002", "010000000a01000200", "010000000a0100"])
def test_original_addresses_that_are_none(text: str) -> None:
    with pytest.raises(DecodeError):
        OriginalAddress.parse(reader(text))


SHORT, LONG = Attribute.short(11, 1), Attribute.long(12, 28800)


def test_attributes() -> None:
    assert SHORT.build().hex() == "800b0001"
    assert LONG.build().hex() == "000c000400007080"
    for attribute in (SHORT, LONG, Attribute(1, b"", False), Attribute(0x7FFF, bytes(99), False)):
        assert Attribute.parse(Reader(attribute.build())) == attribute
    assert (SHORT.number, LONG.number) == (1, 28800)
    with pytest.raises(DecodeError):
        _ = Attribute(6, bytes(9), False).number


def sa_of(*transforms: Transform) -> SecurityAssociation:
    return SecurityAssociation((Proposal(1, ProtocolId.ISAKMP, b"", transforms),))


def test_associations() -> None:
    sa = sa_of(Transform(1, 1, (SHORT, LONG)), Transform(2, 1, (SHORT,)))
    octets = sa.build()
    assert octets.hex() == (
        "0000000100000001"
        "0000002801010002"
        "0300001401010000800b0001000c000400007080"
        "0000000c02010000800b0001"
    )
    assert SecurityAssociation.parse(Reader(octets)) == sa


def test_reserved_octets_do_not_matter() -> None:
    octets = bytearray(sa_of(Transform(1, 1, (SHORT,))).build())
    for position in (9, 17, 22, 23):
        octets[position] = 0xFF
    assert SecurityAssociation.parse(Reader(octets)) == sa_of(Transform(1, 1, (SHORT,)))


@pytest.mark.parametrize(
    ("position", "octet"),
    [(8, 3), (11, 0), (11, 3), (11, 0xFF), (15, 2), (14, 9), (16, 2), (16, 3), (19, 3), (19, 13)],
)
def test_associations_that_are_none(position: int, octet: int) -> None:
    octets = bytearray(sa_of(Transform(1, 1, (SHORT,))).build())
    octets[position] = octet
    with pytest.raises(DecodeError):
        SecurityAssociation.parse(Reader(octets))


@pytest.mark.parametrize("length", range(28))
def test_cut_associations(length: int) -> None:
    octets = sa_of(Transform(1, 1, (SHORT,))).build()
    assert len(octets) == 28
    with pytest.raises((DecodeError, NotifyError)):
        SecurityAssociation.parse(Reader(octets[:length]))
