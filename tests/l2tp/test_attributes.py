"""The table of attributes (RFC 2661 section 4.4) and their values."""

import re

import pytest

from l2tp.attributes import ATTRIBUTES, Number, Presence, Record, Text, encode
from l2tp.constants import AttributeType, ErrorCode
from l2tp.errors import AvpError
from l2tp.values import (
    MAX_MESSAGE,
    Accm,
    CallErrors,
    DisconnectCause,
    Q931Cause,
    ResultCode,
    Value,
)
from wire import LocalError

MUST_NOT_BE_HIDDEN = {
    AttributeType.MESSAGE_TYPE,
    AttributeType.RANDOM_VECTOR,
    AttributeType.RESULT_CODE,
    AttributeType.PROTOCOL_VERSION,
    AttributeType.TIE_BREAKER,
    AttributeType.HOST_NAME,
    AttributeType.RECEIVE_WINDOW_SIZE,
    AttributeType.Q931_CAUSE_CODE,
    AttributeType.SEQUENCING_REQUIRED,
}
WITHOUT_M_BIT = {
    AttributeType.TIE_BREAKER,
    AttributeType.FIRMWARE_REVISION,
    AttributeType.VENDOR_NAME,
    AttributeType.RX_CONNECT_SPEED,
    AttributeType.PHYSICAL_CHANNEL_ID,
    AttributeType.PRIVATE_GROUP_ID,
    AttributeType.INITIAL_RECEIVED_LCP_CONFREQ,
    AttributeType.LAST_SENT_LCP_CONFREQ,
    AttributeType.LAST_RECEIVED_LCP_CONFREQ,
    AttributeType.PROXY_AUTHEN_TYPE,
    AttributeType.PROXY_AUTHEN_NAME,
    AttributeType.PROXY_AUTHEN_CHALLENGE,
    AttributeType.PROXY_AUTHEN_ID,
    AttributeType.PROXY_AUTHEN_RESPONSE,
    AttributeType.PPP_DISCONNECT_CAUSE,
}
VALUES: list[tuple[AttributeType, Value, str]] = [
    (AttributeType.PROTOCOL_VERSION, 0x0100, "0100"),
    (AttributeType.FRAMING_CAPABILITIES, 3, "00000003"),
    (AttributeType.TIE_BREAKER, 0x0102030405060708, "0102030405060708"),
    (AttributeType.HOST_NAME, b"lns", "6c6e73"),
    (AttributeType.SEQUENCING_REQUIRED, True, ""),
    (AttributeType.RESULT_CODE, ResultCode(1), "0001"),
    (AttributeType.RESULT_CODE, ResultCode(2, 6), "00020006"),
    (AttributeType.RESULT_CODE, ResultCode(2, 6, "nö"), "000200066ec3b6"),
    (AttributeType.Q931_CAUSE_CODE, Q931Cause(16, 0x45, "bye"), "001045627965"),
    (
        AttributeType.CALL_ERRORS,
        CallErrors(1, 2, 3, 4, 5, 6),
        "0000" + "".join(f"{n:08x}" for n in range(1, 7)),
    ),
    (AttributeType.ACCM, Accm(0xFFFFFFFF, 0x000A0000), "0000ffffffff000a0000"),
    (
        AttributeType.PPP_DISCONNECT_CAUSE,
        DisconnectCause(16, 0xC223, 1, "no"),
        "0010c223016e6f",
    ),
]


def test_every_attribute_of_the_rfc_is_in_the_table() -> None:
    assert set(ATTRIBUTES) == set(AttributeType)
    assert {int(number) for number in ATTRIBUTES} == {*range(20), *range(21, 40), 46}


def test_which_may_be_hidden() -> None:
    assert {number for number, row in ATTRIBUTES.items() if not row.hidable} == MUST_NOT_BE_HIDDEN


def test_which_have_the_m_bit() -> None:
    assert {number for number, row in ATTRIBUTES.items() if not row.mandatory} == WITHOUT_M_BIT


@pytest.mark.parametrize(("number", "value", "octets"), VALUES)
def test_values(number: AttributeType, value: Value, octets: str) -> None:
    assert encode(number, value).hex() == octets
    assert ATTRIBUTES[number].kind.decode(bytes.fromhex(octets)) == value


@pytest.mark.parametrize(
    ("number", "octets"),
    [
        (number, bytes(length))
        for number, row in ATTRIBUTES.items()
        if isinstance(row.kind, Number)
        for length in {0, row.kind.size - 1, row.kind.size + 1}
    ]
    + [
        (AttributeType.HOST_NAME, b""),
        (AttributeType.CHALLENGE, b""),
        (AttributeType.SEQUENCING_REQUIRED, b"x"),
        (AttributeType.RESULT_CODE, b""),
        (AttributeType.RESULT_CODE, b"x"),
        (AttributeType.RESULT_CODE, b"xyz"),
        (AttributeType.Q931_CAUSE_CODE, b"xy"),
        (AttributeType.CALL_ERRORS, bytes(25)),
        (AttributeType.CALL_ERRORS, bytes(27)),
        (AttributeType.ACCM, bytes(9)),
        (AttributeType.ACCM, bytes(11)),
        (AttributeType.PPP_DISCONNECT_CAUSE, bytes(4)),
    ],
)
def test_wrong_lengths(number: AttributeType, octets: bytes) -> None:
    with pytest.raises(AvpError) as caught:
        ATTRIBUTES[number].kind.decode(octets)
    assert caught.value.error is ErrorCode.WRONG_LENGTH
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "number",
    [
        AttributeType.ASSIGNED_TUNNEL_ID,
        AttributeType.ASSIGNED_SESSION_ID,
        AttributeType.RECEIVE_WINDOW_SIZE,
    ],
)
def test_numbers_that_must_not_be_zero(number: AttributeType) -> None:
    with pytest.raises(AvpError, match=re.escape("is 0")) as caught:
        ATTRIBUTES[number].kind.decode(b"\0\0")
    assert caught.value.error is ErrorCode.OUT_OF_RANGE


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (AttributeType.PROTOCOL_VERSION, b"\1\0"),
        (AttributeType.HOST_NAME, 7),
        (AttributeType.RESULT_CODE, 1),
        (AttributeType.SEQUENCING_REQUIRED, b""),
    ],
)
def test_a_value_of_another_kind_is_our_own_bug(number: AttributeType, value: Value) -> None:
    with pytest.raises(LocalError):
        encode(number, value)


def test_long_texts_are_cut_between_characters() -> None:
    octets = ResultCode(2, 6, "ö" * 1000).build()
    assert len(octets) == 4 + MAX_MESSAGE
    assert octets[4:].decode() == "ö" * (MAX_MESSAGE // 2)
    assert len(ResultCode(2, 6, "x" + "ö" * 1000).build()) == 4 + MAX_MESSAGE - 1


def test_texts_that_are_no_text() -> None:
    value = ATTRIBUTES[AttributeType.RESULT_CODE].kind.decode(b"\0\2\0\6\xff\xfe")
    assert value == ResultCode(2, 6, "\ufffd\ufffd")


def test_kinds_are_few() -> None:
    assert {type(row.kind) for row in ATTRIBUTES.values()} == {Number, Presence, Record, Text}
