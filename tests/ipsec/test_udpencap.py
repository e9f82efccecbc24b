"""What a UDP payload on the two ports is."""

import pytest

from ipsec.udpencap import Kind, add_marker, classify, strip_marker

MARKER = bytes(4)


@pytest.mark.parametrize(
    ("data", "port", "kind"),
    [
        (bytes(28), 500, Kind.IKE),
        (b"\xff" * 28, 500, Kind.IKE),
        (b"\xff" * 27, 500, Kind.GARBAGE),
        (b"\xff", 500, Kind.GARBAGE),
        (b"", 500, Kind.GARBAGE),
        (MARKER + b"\1" * 28, 4500, Kind.IKE),
        (MARKER + b"\1" * 27, 4500, Kind.GARBAGE),
        (MARKER, 4500, Kind.GARBAGE),
        (b"\xff", 4500, Kind.KEEPALIVE),
        (b"\0", 4500, Kind.GARBAGE),
        (b"\0\0\0\1" + bytes(4), 4500, Kind.ESP),
        (b"\0\0\0\1" + bytes(3), 4500, Kind.GARBAGE),
        (b"\xff\xff", 4500, Kind.GARBAGE),
        (b"", 4500, Kind.GARBAGE),
        (memoryview(b"\xff"), 4500, Kind.KEEPALIVE),
        (memoryview(MARKER + bytes(28)), 4500, Kind.IKE),
    ],
)
def test_kinds(data: bytes, port: int, kind: Kind) -> None:
    assert classify(data, port) is kind


def test_the_marker() -> None:
    message = b"\1" * 28
    assert add_marker(message, 500) == message
    assert add_marker(message, 4500) == MARKER + message
    assert strip_marker(message, 500) == message
    assert strip_marker(MARKER + message, 4500) == message
    assert strip_marker(message, 4500) is None
    assert strip_marker(b"\xff", 4500) is None
