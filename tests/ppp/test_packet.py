"""The packet of all control protocols and its options: RFC 1661 sections 5 and 6."""

import pytest

from ppp.packet import Option, Packet, build_options, parse_options
from wire import DecodeError, Reader


def test_packet() -> None:
    octets = bytes.fromhex("0107000805040001")
    packet = Packet.parse(Reader(octets))
    assert packet == Packet(1, 7, bytes.fromhex("05040001"))
    assert packet.build() == octets


def test_octets_behind_the_length_are_padding() -> None:
    assert Packet.parse(Reader(bytes.fromhex("0500000400000000"))) == Packet(5, 0)


@pytest.mark.parametrize("octets", ["", "0101", "01010003", "01010000", "01010005", "0101ffff00"])
def test_a_wrong_length_discards_the_packet(octets: str) -> None:
    with pytest.raises(DecodeError):
        Packet.parse(Reader(bytes.fromhex(octets)))


def test_options() -> None:
    octets = bytes.fromhex("0104057807020d0306")
    options = parse_options(octets)
    assert options == (Option(1, b"\x05\x78"), Option(7), Option(13, b"\x06"))
    assert build_options(options) == octets
    assert parse_options(b"") == ()


@pytest.mark.parametrize("octets", ["01", "0100", "0101", "0103", "07020104ff"])
def test_an_option_with_a_wrong_length(octets: str) -> None:
    with pytest.raises(DecodeError):
        parse_options(bytes.fromhex(octets))
