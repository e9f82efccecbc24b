"""The header of control and data messages (RFC 2661 section 3.1)."""

import pytest

from l2tp.header import ControlHeader, DataHeader, is_control
from wire import DecodeError, LocalError, Reader

FRAME = bytes.fromhex("ff030021450000")


def test_control_header() -> None:
    data = bytes.fromhex("c8020014c65600030001000280080000000000060000")
    header, body = ControlHeader.parse(Reader(data))
    assert header == ControlHeader(0xC656, 3, 1, 2)
    assert body.rest() == data[12:20], "what lies behind Length is padding"
    assert header.build(data[12:20]) == data[:20]


def test_a_zlb_is_exactly_twelve_octets() -> None:
    assert ControlHeader(7, 0, 1, 2).build() == bytes.fromhex("c802000c0007000000010002")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("", "nothing"),
        ("c802000c000700000001", "cut short"),
        ("c801000c0007000000010002", "L2F"),
        ("c803000c0007000000010002", "L2TPv3"),
        ("8802000c0007000000010002", "no L bit"),
        ("c002000c0007000000010002", "no S bit"),
        ("ca02000c0007000000010002", "O bit"),
        ("c902000c0007000000010002", "P bit"),
        ("c802000b0007000000010002", "Length shorter than the header"),
        ("c802000d0007000000010002", "Length beyond the end"),
    ],
)
def test_malformed_control_header(data: str, what: str) -> None:
    with pytest.raises(DecodeError):
        ControlHeader.parse(Reader(bytes.fromhex(data)))


def test_reserved_bits_of_a_control_header_are_ignored() -> None:
    header, _ = ControlHeader.parse(Reader(bytes.fromhex("fcf2000c0007000000010002")))
    assert header == ControlHeader(7, 0, 1, 2)


@pytest.mark.parametrize(
    ("data", "header"),
    [
        ("000200070009", DataHeader(7, 9)),
        ("4002000f00070009", DataHeader(7, 9, length=True)),
        ("080200070009123400ff", DataHeader(7, 9, ns=0x1234)),
        ("0202000700090000", DataHeader(7, 9, offset=0)),
        ("0202000700090003aabbcc", DataHeader(7, 9, offset=3)),
        ("010200070009", DataHeader(7, 9, priority=True)),
        ("4b02001800070009000100000004" + "00" * 4, DataHeader(7, 9, 1, True, 4, True)),
    ],
)
def test_data_header(data: str, header: DataHeader) -> None:
    octets = bytes.fromhex(data)
    length = int.from_bytes(octets[2:4]) if header.length else len(octets) + len(FRAME)
    frame = FRAME[: length - len(octets)] if header.length else FRAME
    padding = b"\0\0" if header.length else b""
    assert DataHeader.parse(Reader(octets + frame + padding)) == (header, frame)


@pytest.mark.parametrize("length", [False, True])
@pytest.mark.parametrize("ns", [None, 0, 0xFFFF])
@pytest.mark.parametrize("offset", [None, 0, 5])
@pytest.mark.parametrize("priority", [False, True])
def test_data_header_round_trip(
    length: bool, ns: int | None, offset: int | None, priority: bool
) -> None:
    header = DataHeader(1, 2, ns, length, offset, priority)
    assert DataHeader.parse(Reader(header.build(FRAME))) == (header, FRAME)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("", "nothing"),
        ("00020007", "cut short"),
        ("000100070009", "L2F"),
        ("800200070009", "T bit"),
        ("4002000300070009", "Length within the header"),
        ("4002000700070009", "Length within the ids"),
        ("4002000900070009", "Length beyond the end"),
        ("08020007000900010000"[:-2], "Nr cut short"),
        ("0202000700090003aabb", "offset padding cut short"),
        ("020200070009ffff", "offset beyond the end"),
    ],
)
def test_malformed_data_header(data: str, what: str) -> None:
    with pytest.raises(DecodeError):
        DataHeader.parse(Reader(bytes.fromhex(data)))


def test_a_frame_too_long_for_the_length_field() -> None:
    with pytest.raises(LocalError):
        DataHeader(1, 2, length=True).build(bytes(65528))
    assert len(DataHeader(1, 2, length=True).build(bytes(65527))) == 65535


def test_control_and_data_are_told_apart_by_the_t_bit() -> None:
    assert is_control(b"\xc8\x02")
    assert not is_control(b"\x40\x02")
    assert not is_control(b"")
