"""PPP frames with and without compressed header fields: RFC 1661 sections 2, 6.5 and 6.6."""

import pytest

from ppp.constants import Protocol
from ppp.frame import Frame
from wire import DecodeError, Reader


def test_build() -> None:
    assert Frame(Protocol.LCP, b"abc").build() == bytes.fromhex("ff03c021") + b"abc"


@pytest.mark.parametrize("header", ["ff030021", "ff0321", "0021", "21"])
def test_all_four_forms(header: str) -> None:
    frame = Frame.parse(Reader(bytes.fromhex(header) + b"E..."))
    assert frame == Frame(Protocol.IPV4, b"E...")


def test_a_frame_may_have_no_information() -> None:
    assert Frame.parse(Reader(bytes.fromhex("ff03c021"))) == Frame(Protocol.LCP, b"")


@pytest.mark.parametrize("octets", ["", "ff03", "c0", "ff03c0", "00"])
def test_cut_short(octets: str) -> None:
    with pytest.raises(DecodeError):
        Frame.parse(Reader(bytes.fromhex(octets)))


def test_a_number_that_breaks_the_rules_is_an_unknown_protocol() -> None:
    frame = Frame.parse(Reader(bytes.fromhex("ff03c022aa")))
    assert frame.protocol == 0xC022
    assert str(frame.protocol) == "Protocol 49186"
