"""Hidden AVPs (RFC 2661 section 4.3) as accel-ppp sends them, 7 of 13 messages wrong."""

from typing import Any

import pytest

from l2tp.avp import Avp, parse_avps
from l2tp.header import ControlHeader
from l2tp.hiding import hide, reveal
from tests.support.vectors import load
from wire import DecodeError, Reader

VECTORS = load("l2tp_hidden_avp_accel.json")
SECRET = VECTORS["secret"].encode()
PACKETS: list[dict[str, Any]] = VECTORS["packets"]


def revealed(packet: bytes) -> list[tuple[Avp, bytes]]:
    """Return each AVP and its plain value. Raises DecodeError, also where no vector precedes."""
    header, body = ControlHeader.parse(Reader(packet))
    avps = list(parse_avps(body))
    assert header.build(b"".join(avp.build() for avp in avps)) == packet
    vector: bytes | None = None
    found = []
    for avp in avps:
        plain = avp.value
        if avp.type == 36:
            vector = avp.value
        if avp.hidden:
            if vector is None:
                raise DecodeError("no random vector")
            plain = reveal(avp.type, avp.value, SECRET, vector)
        found.append((avp, plain))
    return found


def test_there_are_thirteen() -> None:
    assert [packet["expect"] for packet in PACKETS].count("reject") == 7
    assert len(PACKETS) == 13


@pytest.mark.parametrize("packet", [p for p in PACKETS if p["expect"] == "reject"])
def test_rejected(packet: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        revealed(bytes.fromhex(packet["packet"]))


@pytest.mark.parametrize("packet", [p for p in PACKETS if p["expect"] == "accept"])
def test_accepted(packet: dict[str, Any]) -> None:
    found = revealed(bytes.fromhex(packet["packet"]))
    assert len(found) == len(packet["avps"])
    vector = b""
    for (avp, plain), expected in zip(found, packet["avps"], strict=True):
        assert (avp.type, avp.mandatory, avp.hidden) == (
            expected["type"],
            expected["mandatory"],
            expected["hidden"],
        )
        assert avp.value.hex() == expected["value"]
        if avp.type == 36:
            vector = avp.value
        if avp.hidden:
            assert plain.hex() == expected["plain"]
            again = hide(avp.type, plain, SECRET, vector)
            assert avp.value.startswith(again), "what follows is padding"
