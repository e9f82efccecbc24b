"""L2TP's codecs: what is built is parsed back, and no octets raise anything but DecodeError."""

from contextlib import suppress
from dataclasses import fields
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from l2tp.attributes import ATTRIBUTES, Number, Presence, Text
from l2tp.avp import MAX_VALUE_LENGTH, Avp, parse_avps
from l2tp.config import L2tpConfig
from l2tp.constants import AttributeType, MessageType
from l2tp.errors import MessageError
from l2tp.header import ControlHeader, DataHeader
from l2tp.hiding import hide, reveal
from l2tp.lns import Lns
from l2tp.messages import ATTRIBUTES_OF, MESSAGES, Hiding, Message, parse_message
from l2tp.values import Accm, CallErrors, DisconnectCause, Q931Cause, ResultCode
from tests.support.l2tp import Peer, control, entropy, parse_control
from wire import DecodeError, Reader

U8, U16, U32 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32))
TEXT = st.text(st.characters(max_codepoint=0x7F), max_size=30)
RECORDS: dict[AttributeType, st.SearchStrategy[Any]] = {
    AttributeType.RESULT_CODE: st.builds(ResultCode, U16, U16, TEXT) | U16.map(ResultCode),
    AttributeType.Q931_CAUSE_CODE: st.builds(Q931Cause, U16, U8, TEXT),
    AttributeType.CALL_ERRORS: st.builds(CallErrors, U32, U32, U32, U32, U32, U32),
    AttributeType.ACCM: st.builds(Accm, U32, U32),
    AttributeType.PPP_DISCONNECT_CAUSE: st.builds(DisconnectCause, U16, U16, U8, TEXT),
}


def values(number: AttributeType) -> st.SearchStrategy[Any]:
    match ATTRIBUTES[number].kind:
        case Number(size, minimum):
            return st.integers(minimum, (1 << 8 * size) - 1)
        case Text(minimum):
            return st.binary(min_size=minimum, max_size=100)
        case Presence():
            return st.booleans()
        case _:
            return RECORDS[number]


@st.composite
def messages(draw: st.DrawFn) -> Message:
    kind = draw(st.sampled_from(sorted(MESSAGES)))
    chosen = {}
    for field in fields(MESSAGES[kind]):
        strategy = values(ATTRIBUTES_OF[kind][field.name])
        if field.default is None:
            strategy |= st.none()
        chosen[field.name] = draw(strategy)
    return MESSAGES[kind](**chosen)


AVPS = st.builds(
    Avp,
    type=U16,
    value=st.binary(max_size=MAX_VALUE_LENGTH),
    mandatory=st.booleans(),
    hidden=st.booleans(),
    vendor=U16,
    reserved=st.sampled_from([0, 0x0400, 0x3C00]),
)
KNOWN_AVPS = st.builds(
    Avp,
    type=st.sampled_from([int(number) for number in AttributeType]),
    value=st.binary(max_size=40),
    mandatory=st.booleans(),
    hidden=st.booleans(),
    vendor=st.sampled_from([0, 0, 0, 311]),
)


@given(messages())
def test_messages(message: Message) -> None:
    assert parse_message(message.build()) == message


@given(messages(), st.binary(min_size=1), st.integers())
def test_hidden_messages(message: Message, secret: bytes, seed: int) -> None:
    hidden = message.build(Hiding(secret, Random(seed).randbytes))
    assert parse_message(hidden, secret) == message


@given(st.lists(AVPS, max_size=5))
def test_avps(avps: list[Avp]) -> None:
    assert list(parse_avps(Reader(b"".join(avp.build() for avp in avps)))) == avps


@given(U16, U16, U16, U16, st.binary())
def test_control_headers(tunnel: int, session: int, ns: int, nr: int, avps: bytes) -> None:
    header = ControlHeader(tunnel, session, ns, nr)
    parsed, body = ControlHeader.parse(Reader(header.build(avps)))
    assert (parsed, body.rest()) == (header, avps)


@given(
    st.builds(DataHeader, U16, U16, st.none() | U16, st.booleans(), st.none() | U8, st.booleans()),
    st.binary(),
)
def test_data_headers(header: DataHeader, frame: bytes) -> None:
    assert DataHeader.parse(Reader(header.build(frame))) == (header, frame)


@given(U16, st.binary(), st.binary(), st.binary(), st.binary())
def test_hiding(number: int, value: bytes, secret: bytes, vector: bytes, padding: bytes) -> None:
    hidden = hide(number, value, secret, vector, padding)
    assert reveal(number, hidden, secret, vector) == value


@given(st.binary())
def test_any_octets_as_headers(data: bytes) -> None:
    with suppress(DecodeError):
        ControlHeader.parse(Reader(data))
    with suppress(DecodeError):
        DataHeader.parse(Reader(data))


@given(st.binary())
def test_any_octets_as_avps(data: bytes) -> None:
    try:
        avps = list(parse_avps(Reader(data)))
    except DecodeError:
        return
    assert b"".join(avp.build() for avp in avps) == data


BODIES = st.one_of(
    st.binary(),
    st.builds(
        lambda kind, avps, tail: (
            Avp(0, kind.to_bytes(2)).build() + b"".join(avp.build() for avp in avps) + tail
        ),
        st.sampled_from(sorted(MessageType)) | U16,
        st.lists(KNOWN_AVPS | AVPS, max_size=6),
        st.just(b"") | st.binary(max_size=6),
    ),
    messages().map(lambda message: message.build()),
)


@given(BODIES, st.none() | st.binary(min_size=1))
def test_any_octets_as_a_message(body: bytes, secret: bytes | None) -> None:
    with suppress(MessageError):
        parse_message(body, secret)


@given(st.lists(st.binary(), max_size=3))
def test_an_lns_never_raises(datagrams: list[bytes]) -> None:
    lns = Lns(L2tpConfig(host_name="lns"), entropy().randbytes)
    for data in datagrams:
        lns.receive(data, "flow", 0.0)
    lns.handle_timeout(100.0)


@given(
    st.lists(st.tuples(BODIES, st.booleans(), st.integers(0, 3)), max_size=12),
    st.sampled_from([None, b"secret"]),
)
def test_a_tunnel_never_raises(script: list[tuple[bytes, bool, int]], secret: bytes | None) -> None:
    """Whatever comes in sequence through an open tunnel; what goes out is always well-formed."""
    lns = Lns(L2tpConfig(host_name="lns", secret=secret), entropy().randbytes)
    peer = Peer(lns)
    number = peer.open_tunnel()
    sessions = [0, peer.open_session(5), 77]
    opened = closed = 0
    for body, in_order, which in script:
        session_id = sessions[which % 3]
        if in_order:
            peer.send(body, session_id)
        else:
            peer.raw(control(number, session_id, which, which, body))
        peer.now += which
        peer.wait(float(which))
    while (event := lns.next_event()) is not None:
        name = type(event).__name__
        opened += name in ("TunnelOpened", "SessionOpened")
        closed += name in ("TunnelClosed", "SessionClosed")
    lns.close_flow(peer.flow, "the end", peer.now)
    while (event := lns.next_event()) is not None:
        closed += type(event).__name__ in ("TunnelClosed", "SessionClosed")
    assert opened == closed >= 2
    for datagram in lns.datagrams_to_send():
        parse_control(datagram.data)
    assert lns.next_timeout() is None
