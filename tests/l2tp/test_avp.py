"""AVPs as they are on the wire (RFC 2661 section 4.1)."""

import pytest

from l2tp.avp import MAX_VALUE_LENGTH, Avp, parse_avps
from l2tp.constants import AttributeType
from wire import DecodeError, LocalError, Reader


@pytest.mark.parametrize(
    ("octets", "avp"),
    [
        ("800800000000000a", Avp(AttributeType.MESSAGE_TYPE, b"\0\x0a")),
        ("800600000027", Avp(AttributeType.SEQUENCING_REQUIRED)),
        ("000700000008" + "78", Avp(AttributeType.VENDOR_NAME, b"x", mandatory=False)),
        ("c00800000003" + "abcd", Avp(3, b"\xab\xcd", hidden=True)),
        ("000601370001", Avp(1, mandatory=False, vendor=311)),
        ("240600000001", Avp(1, mandatory=False, reserved=0x2400)),
    ],
)
def test_parse_and_build(octets: str, avp: Avp) -> None:
    data = bytes.fromhex(octets)
    assert list(parse_avps(Reader(data))) == [avp]
    assert avp.build() == data


@pytest.mark.parametrize("length", range(6))
def test_a_length_below_six_is_an_error(length: int) -> None:
    with pytest.raises(DecodeError):
        Avp.parse(Reader(bytes([0x80, length, 0, 0, 0, 0, 0, 0])))


def test_a_length_beyond_the_end_is_an_error() -> None:
    with pytest.raises(DecodeError):
        Avp.parse(Reader(bytes.fromhex("800900000000000a")))


@pytest.mark.parametrize("left", range(1, 6))
def test_a_header_cut_short_is_an_error(left: int) -> None:
    whole = bytes.fromhex("800800000000000a")
    avps = parse_avps(Reader(whole + whole[:left]))
    assert next(avps) == Avp(0, b"\0\x0a"), "what can be read is read"
    with pytest.raises(DecodeError):
        next(avps)


def test_the_longest_value() -> None:
    longest = Avp(7, bytes(MAX_VALUE_LENGTH))
    assert len(longest.build()) == 1023
    assert list(parse_avps(Reader(longest.build()))) == [longest]
    with pytest.raises(LocalError):
        Avp(7, bytes(MAX_VALUE_LENGTH + 1)).build()


def test_names_for_the_log() -> None:
    assert str(Avp(7)) == "AVP 7 (HOST_NAME)"
    assert str(Avp(99)) == "AVP 99 (AttributeType 99)"
    assert str(Avp(7, vendor=311)) == "AVP 7 of vendor 311"
