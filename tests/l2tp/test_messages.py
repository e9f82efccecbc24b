"""Control messages (RFC 2661 section 6) and the rules for their AVPs (4.1 to 4.3, 7.1)."""

from random import Random

import pytest

from l2tp.constants import AttributeType, ErrorCode, MessageType
from l2tp.errors import MessageError
from l2tp.hiding import hide
from l2tp.messages import (
    CALL_MESSAGES,
    MESSAGES,
    REQUIRED_OF,
    Cdn,
    Hello,
    Hiding,
    Iccn,
    Icrp,
    Icrq,
    Message,
    Occn,
    Ocrp,
    Ocrq,
    Scccn,
    Sccrp,
    Sccrq,
    Sli,
    StopCcn,
    Wen,
    parse_message,
)
from l2tp.values import Accm, CallErrors, DisconnectCause, Q931Cause, ResultCode
from tests.support.l2tp import HELLO, SCCRQ, avp, icrq, message, raw_avps, sccrq, u16, u32

SECRET = b"s3cr3t"
EXAMPLES: list[Message] = [
    Sccrq(protocol_version=256, framing_capabilities=3, host_name=b"a", assigned_tunnel_id=1),
    Sccrq(
        protocol_version=256,
        framing_capabilities=3,
        bearer_capabilities=3,
        tie_breaker=1 << 60,
        firmware_revision=0x0690,
        host_name=b"lac.example",
        vendor_name=b"vendor",
        assigned_tunnel_id=0xFFFF,
        receive_window_size=4,
        challenge=b"c" * 16,
    ),
    Sccrp(
        protocol_version=256,
        framing_capabilities=1,
        bearer_capabilities=0,
        firmware_revision=1,
        host_name=b"lns",
        vendor_name=b"v",
        assigned_tunnel_id=5,
        receive_window_size=1,
        challenge_response=b"r" * 16,
        challenge=b"d",
    ),
    Scccn(),
    Scccn(challenge_response=b"r" * 16),
    StopCcn(assigned_tunnel_id=5, result_code=ResultCode(2, 6, "text")),
    Hello(),
    Icrq(assigned_session_id=1, call_serial_number=0),
    Icrq(
        assigned_session_id=1,
        call_serial_number=1,
        bearer_type=2,
        physical_channel_id=3,
        calling_number=b"123",
        called_number=b"456",
        sub_address=b"7",
    ),
    Icrp(assigned_session_id=2),
    Iccn(tx_connect_speed=1, framing_type=2),
    Iccn(
        tx_connect_speed=1,
        framing_type=2,
        initial_received_lcp_confreq=b"a",
        last_sent_lcp_confreq=b"b",
        last_received_lcp_confreq=b"",
        proxy_authen_type=2,
        proxy_authen_name=b"alice",
        proxy_authen_challenge=b"cc",
        proxy_authen_id=9,
        proxy_authen_response=b"rr",
        private_group_id=b"group",
        rx_connect_speed=64000,
        sequencing_required=True,
    ),
    Ocrq(
        assigned_session_id=1,
        call_serial_number=1,
        minimum_bps=1,
        maximum_bps=2,
        bearer_type=3,
        framing_type=1,
        called_number=b"123",
        sub_address=b"1",
    ),
    Ocrp(assigned_session_id=1, physical_channel_id=2),
    Occn(tx_connect_speed=1, framing_type=1, rx_connect_speed=2, sequencing_required=True),
    Cdn(
        result_code=ResultCode(1),
        assigned_session_id=3,
        q931_cause_code=Q931Cause(16, 1),
        ppp_disconnect_cause=DisconnectCause(3, 0, 1),
    ),
    Wen(call_errors=CallErrors(1, 2, 3, 4, 5, 6)),
    Sli(accm=Accm(1, 2)),
]


def test_the_examples_have_every_message_type() -> None:
    assert {example.TYPE for example in EXAMPLES} == set(MESSAGES) == set(MessageType)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda m: m.TYPE.name)
def test_round_trip(example: Message) -> None:
    assert parse_message(example.build()) == example


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda m: m.TYPE.name)
def test_round_trip_hidden(example: Message) -> None:
    body = example.build(Hiding(SECRET, Random(1).randbytes))
    assert parse_message(body, SECRET) == example
    first, second, *others = raw_avps(body)
    assert first.type == AttributeType.MESSAGE_TYPE
    assert (second.type, len(second.value)) == (AttributeType.RANDOM_VECTOR, 16)
    for one in others:
        clear_only = {1, 2, 5, 7, 10, 12, 39}
        assert bool(one.flags & 0x4000) == (one.type not in clear_only)


def test_mandatory_avps_are_those_of_section_6() -> None:
    named = {kind: {number.name for number in REQUIRED_OF[kind]} for kind in MESSAGES}
    start = {"PROTOCOL_VERSION", "FRAMING_CAPABILITIES", "HOST_NAME", "ASSIGNED_TUNNEL_ID"}
    connected = {"TX_CONNECT_SPEED", "FRAMING_TYPE"}
    request = {"ASSIGNED_SESSION_ID", "CALL_SERIAL_NUMBER"}
    bps = {"MINIMUM_BPS", "MAXIMUM_BPS", "BEARER_TYPE", "FRAMING_TYPE", "CALLED_NUMBER"}
    assert named == {
        MessageType.SCCRQ: start,
        MessageType.SCCRP: start,
        MessageType.SCCCN: set(),
        MessageType.StopCCN: {"ASSIGNED_TUNNEL_ID", "RESULT_CODE"},
        MessageType.HELLO: set(),
        MessageType.OCRQ: request | bps,
        MessageType.OCRP: {"ASSIGNED_SESSION_ID"},
        MessageType.OCCN: connected,
        MessageType.ICRQ: request,
        MessageType.ICRP: {"ASSIGNED_SESSION_ID"},
        MessageType.ICCN: connected,
        MessageType.CDN: {"RESULT_CODE", "ASSIGNED_SESSION_ID"},
        MessageType.WEN: {"CALL_ERRORS"},
        MessageType.SLI: {"ACCM"},
    }


def test_which_messages_concern_a_session() -> None:
    tunnel = {1, 2, 3, 4, 6}
    assert {int(kind) for kind in set(MESSAGES) - CALL_MESSAGES} == tunnel


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda m: m.TYPE.name)
def test_a_missing_mandatory_avp(example: Message) -> None:
    parts = [avp(a.type, a.value) for a in raw_avps(example.build())]
    for number in REQUIRED_OF[example.TYPE]:
        body = b"".join(part for part in parts if int.from_bytes(part[4:6]) != number)
        with pytest.raises(MessageError, match=f"{number} is missing") as caught:
            parse_message(body)
        assert caught.value.kind is example.TYPE
        assert not caught.value.whole_tunnel


def fault(body: bytes, secret: bytes | None = None) -> MessageError:
    with pytest.raises(MessageError) as caught:
        parse_message(body, secret)
    return caught.value


UNKNOWN = [avp(47, b"x"), avp(7, b"x", vendor=9), avp(7, b"x", reserved=0x0400)]
NOT_MANDATORY = [
    avp(47, b"x", mandatory=False),
    avp(7, b"x", vendor=9, mandatory=False),
    avp(7, b"x", reserved=0x2000, mandatory=False),
    avp(38, u16(9), mandatory=False),
    avp(5, b"hidden though", hidden=True, mandatory=False),
    avp(8, b"hidden though", hidden=True, mandatory=False),
]


@pytest.mark.parametrize("unknown", UNKNOWN, ids=bytes.hex)
def test_an_unknown_mandatory_avp_is_fatal_to_the_message(unknown: bytes) -> None:
    error = fault(icrq(5, unknown))
    assert error.error is ErrorCode.UNKNOWN_MANDATORY_AVP
    assert error.number(AttributeType.ASSIGNED_SESSION_ID) == 5
    assert not error.whole_tunnel


@pytest.mark.parametrize("ignored", NOT_MANDATORY, ids=bytes.hex)
def test_without_the_m_bit_an_unknown_or_malformed_avp_is_ignored(ignored: bytes) -> None:
    assert parse_message(icrq(5, ignored)) == parse_message(icrq(5))


def test_a_vendor_avp_is_never_read_as_one_of_the_ietf() -> None:
    body = message(SCCRQ, avp(9, u16(99), vendor=311, mandatory=False)) + sccrq(5)[8:]
    parsed = parse_message(body)
    assert isinstance(parsed, Sccrq)
    assert parsed.assigned_tunnel_id == 5


def test_the_first_of_two_counts() -> None:
    parsed = parse_message(sccrq(5, avp(9, u16(6))))
    assert isinstance(parsed, Sccrq)
    assert parsed.assigned_tunnel_id == 5


@pytest.mark.parametrize(
    "body",
    [
        avp(9, u16(1)),
        avp(0, u16(HELLO), hidden=True),
        avp(0, u16(HELLO), reserved=0x0400),
        avp(0, u16(HELLO), vendor=1),
        avp(0, b"\x06"),
        avp(0, b"\0\0\x06"),
        b"\x80",
    ],
    ids=bytes.hex,
)
def test_the_first_avp_must_be_message_type(body: bytes) -> None:
    error = fault(body)
    assert error.kind is None
    assert error.whole_tunnel


def test_unknown_message_types() -> None:
    assert parse_message(avp(0, u16(99), mandatory=False)) is None
    error = fault(avp(0, u16(99)))
    assert error.kind == 99
    assert error.whole_tunnel


@pytest.mark.parametrize("kind", [0, 5, 13])
def test_reserved_message_types_are_unknown(kind: int) -> None:
    assert fault(avp(0, u16(kind))).whole_tunnel


@pytest.mark.parametrize("length", [0, 1, 5, 9, 1023])
def test_avps_that_cannot_be_taken_apart_end_the_tunnel(length: int) -> None:
    broken = avp(22, b"12", length=length)
    for mandatory in (0x80, 0):
        error = fault(icrq(5, bytes([broken[0] & 0x03 | mandatory]) + broken[1:]))
        assert error.kind is MessageType.ICRQ
        assert error.whole_tunnel
        assert error.error is ErrorCode.WRONG_LENGTH
        assert error.number(AttributeType.ASSIGNED_SESSION_ID) == 5


def hidden_session_id(secret: bytes = SECRET, vector: bytes = b"v" * 16) -> bytes:
    return avp(14, hide(14, u16(5), secret, vector), hidden=True)


class TestHidden:
    vector = avp(36, b"v" * 16)
    serial = avp(15, u32(1))

    def test_revealed(self) -> None:
        body = message(10, self.vector, hidden_session_id(), self.serial)
        assert parse_message(body, SECRET) == parse_message(icrq(5))

    def test_the_last_vector_before_it_counts(self) -> None:
        other = avp(36, b"other")
        body = message(10, other, self.vector, hidden_session_id(), other, self.serial)
        assert parse_message(body, SECRET) == parse_message(icrq(5))
        wrong = message(10, self.vector, other, hidden_session_id(), self.serial)
        assert "secrets differ" in fault(wrong, SECRET).why

    def test_without_a_vector(self) -> None:
        body = message(10, hidden_session_id(), self.vector, self.serial)
        assert "without a Random Vector" in fault(body, SECRET).why

    def test_without_a_secret(self) -> None:
        body = message(10, self.vector, hidden_session_id(), self.serial)
        assert "no secret is configured" in fault(body).why

    def test_a_hidden_vector(self) -> None:
        body = message(10, avp(36, b"v" * 16, hidden=True), self.serial)
        assert "must not be hidden" in fault(body, SECRET).why

    @pytest.mark.parametrize("number", [1, 2, 7, 10, 12, 39])
    def test_what_must_not_be_hidden(self, number: int) -> None:
        value = hide(number, b"x", SECRET, b"v" * 16)
        body = icrq(5, self.vector, avp(number, value, hidden=True))
        assert "must not be hidden" in fault(body, SECRET).why

    def test_a_hidden_value_of_wrong_length(self) -> None:
        value = hide(22, b"x", SECRET, b"v" * 16)
        body = icrq(5, self.vector, avp(18, hide(18, b"x", SECRET, b"v" * 16), hidden=True))
        assert fault(body, SECRET).error is ErrorCode.WRONG_LENGTH
        assert parse_message(icrq(5, self.vector, avp(22, value, hidden=True)), SECRET)


def test_secrets_of_users_are_not_printed() -> None:
    proxy = Iccn(tx_connect_speed=1, framing_type=1, proxy_authen_response=b"wonderland")
    assert "wonderland" not in repr(proxy)
