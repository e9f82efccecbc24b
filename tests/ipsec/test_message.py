"""Messages and payload chains, octet by octet."""

import pytest

from ipsec.constants import ExchangeType, Flags, PayloadType
from ipsec.message import (
    MAX_PAYLOADS,
    Cookies,
    Header,
    Payload,
    Payloads,
    build_message,
    parse_message,
)
from wire import DecodeError, Reader

COOKIES = Cookies(b"initiate", b"responds")
MESSAGE = bytes.fromhex(
    "696e697469617465 726573706f6e6473 0a 10 05 00 01020304 0000002c"
    "0d000006 abcd"
    "0000000a 001122334455"
)
ITEMS = (
    Payload(PayloadType.NONCE, b"\xab\xcd"),
    Payload(PayloadType.VENDOR, bytes.fromhex("001122334455")),
)


def test_a_message_is_taken_apart() -> None:
    header, body = parse_message(MESSAGE)
    assert header == Header(
        COOKIES, PayloadType.NONCE, ExchangeType.INFORMATIONAL, Flags(0), 0x01020304, 44
    )
    assert Payloads.parse(header.first, body).items == ITEMS


def test_a_message_is_put_together() -> None:
    message = build_message(COOKIES, ExchangeType.INFORMATIONAL, Payloads.of(ITEMS), 0x01020304)
    assert message == MESSAGE


def test_an_empty_chain() -> None:
    assert Payloads.of([]) == Payloads.parse(PayloadType.NONE, b"") == Payloads((), b"")
    assert Payloads.of([]).first_type == PayloadType.NONE


@pytest.mark.parametrize("length", [0, 27, 43, 45])
def test_lengths_that_do_not_fit(length: int) -> None:
    with pytest.raises(DecodeError):
        parse_message((MESSAGE + b"\0")[:length])


@pytest.mark.parametrize(
    "chain",
    ["0d000006ab", "0d000003abcd", "0d000000", "0d00", "0d000006abcd", "0d00ffff"],
    ids=["cut", "length 3", "length 0", "cut header", "no next payload", "beyond the end"],
)
def test_chains_that_do_not_hold(chain: str) -> None:
    with pytest.raises(DecodeError):
        Payloads.parse(PayloadType.NONCE, bytes.fromhex(chain))


def test_padding_is_no_part_of_the_chain() -> None:
    octets = MESSAGE[28:]
    assert Payloads.parse(PayloadType.NONCE, octets + bytes(13)).octets == octets


def test_reserved_octets_are_kept_for_the_hashes() -> None:
    octets = bytes.fromhex("0d99 0006 abcd 00aa 0005 01")
    payloads = Payloads.parse(PayloadType.NONCE, octets)
    assert payloads.octets == octets
    assert payloads.items[1].body == b"\1"


def test_unknown_payloads_pass() -> None:
    payloads = Payloads.parse(PayloadType(200), b"\0\0\0\5x")
    assert str(payloads.items[0].type) == "PayloadType 200"


def test_payloads_are_found_by_type() -> None:
    payloads = Payloads.of([*ITEMS, ITEMS[1]])
    assert payloads.the(PayloadType.NONCE) == b"\xab\xcd"
    assert payloads.all(PayloadType.VENDOR) == [ITEMS[1].body] * 2
    for kind in (PayloadType.VENDOR, PayloadType.SA):
        with pytest.raises(DecodeError):
            payloads.the(kind)


def test_hash_must_come_first() -> None:
    digest = Payload(PayloadType.HASH, b"12345678")
    assert Payloads.of([digest, *ITEMS]).after_hash() == MESSAGE[28:]
    for wrong in ([], ITEMS, [*ITEMS, digest]):
        with pytest.raises(DecodeError):
            Payloads.of(wrong).after_hash()


def test_payloads_are_limited() -> None:
    items = [Payload(PayloadType.VENDOR, b"")] * (MAX_PAYLOADS + 1)
    with pytest.raises(DecodeError):
        Payloads.parse(PayloadType.VENDOR, Payloads.of(items).octets)
    assert len(Payloads.parse(PayloadType.VENDOR, Payloads.of(items[1:]).octets).items) == 64


def test_a_header_is_read_and_built() -> None:
    assert Header.parse(Reader(MESSAGE)).build() == MESSAGE[:28]
