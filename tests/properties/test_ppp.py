"""PPP under arbitrary octets, arbitrary peers and arbitrary networks."""

from collections.abc import Callable
from contextlib import suppress
from itertools import chain, repeat

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ppp import Credentials, Link, LinkConfig, Method
from ppp.chap import MsChapV2Value, NamedValue
from ppp.constants import ChapCode, Code, PapCode, Protocol
from ppp.events import (
    Authenticated,
    AuthenticationRequested,
    Event,
    LinkClosed,
    NetworkClosed,
    NetworkOpened,
)
from ppp.frame import Frame
from ppp.link import Phase
from ppp.packet import Option, Packet, build_options, parse_options
from ppp.pap import AuthenticateRequest, Reply
from tests.support.ppp import ASSIGNMENT, CREDENTIALS, Fate, Pair, Sent, drain, entropy, read
from wire import DecodeError, Reader

OCTET = st.integers(0, 255)
SHORT = st.binary(max_size=255)
OPTION = st.builds(Option, OCTET, st.binary(max_size=253))
PROTOCOL = st.integers(0, 0x7F7F).map(lambda n: Protocol((n & 0x7F00) << 1 | (n & 0x7F) << 1 | 1))


@given(st.builds(Frame, PROTOCOL, st.binary(max_size=64)))
def test_frames(frame: Frame) -> None:
    assert Frame.parse(Reader(frame.build())) == frame


@given(st.builds(Packet, OCTET, OCTET, st.binary(max_size=64)), st.binary(max_size=8))
def test_packets(packet: Packet, padding: bytes) -> None:
    assert Packet.parse(Reader(packet.build() + padding)) == packet


@given(st.lists(OPTION, max_size=5))
def test_options(options: list[Option]) -> None:
    assert list(parse_options(build_options(options))) == options


@given(
    st.one_of(
        st.builds(NamedValue, SHORT, SHORT),
        st.builds(AuthenticateRequest, SHORT, SHORT),
        st.builds(Reply, SHORT),
        st.builds(
            MsChapV2Value, st.binary(min_size=16, max_size=16), st.binary(min_size=24, max_size=24)
        ),
    )
)
def test_authentication_data(
    value: NamedValue | AuthenticateRequest | Reply | MsChapV2Value,
) -> None:
    assert type(value).parse(Reader(value.build())) == value


PARSERS: list[Callable[[Reader], object]] = [
    Frame.parse,
    Packet.parse,
    Option.parse,
    NamedValue.parse,
    AuthenticateRequest.parse,
    Reply.parse,
    MsChapV2Value.parse,
    lambda reader: parse_options(reader.rest()),
]


@pytest.mark.parametrize("parse", PARSERS)
@given(octets=st.binary(max_size=80))
def test_any_octets(parse: Callable[[Reader], object], octets: bytes) -> None:
    with suppress(DecodeError):
        parse(Reader(octets))


# Any peer. Steps that a cooperative peer would take are among those that no peer would.

KNOWN = [0xC021, 0xC023, 0xC223, 0x8021, 0x0021, 0x80FD, 0x8057]
DATA = [
    b"",
    bytes.fromhex("01040578"),
    bytes.fromhex("0305c22381"),
    bytes.fromhex("0304c023"),
    bytes.fromhex("0304c227"),
    bytes.fromhex("050600000000"),
    bytes.fromhex("050601020304"),
    bytes.fromhex("03060a09000a"),
    bytes.fromhex("030600000000810600000000"),
    bytes.fromhex("8021"),
    bytes.fromhex("c223"),
    b"\x05alice\x0awonderland",
    b"\x10" + bytes(16) + b"alice",
    b"\x31" + bytes(49) + b"alice",
    b"S=" + b"0" * 40,
]
PACKET = st.builds(
    lambda protocol, code, identifier, data: Sent(Protocol(protocol), code, identifier, data),
    st.sampled_from(KNOWN),
    st.integers(0, 14),
    st.integers(0, 5),
    st.sampled_from(DATA) | st.binary(max_size=24),
)
Step = tuple[str, object]

COOPERATE: Step = ("cooperate", None)
ACCEPT: Step = ("decide", True)

STEP: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("octets"), st.binary(max_size=40)),
    st.tuples(st.just("packet"), PACKET),
    st.just(COOPERATE),
    st.tuples(st.just("reflect"), st.none()),
    st.tuples(st.just("wait"), st.floats(0, 40)),
    st.tuples(st.just("decide"), st.booleans()),
    st.tuples(st.sampled_from(["terminate", "down"]), st.none()),
)


PAP_LOGIN = Sent(Protocol.PAP, 1, 1, b"\x05alice\x0awonderland")


def answers(sent: Sent) -> list[Sent]:
    """Return what a peer that agrees to everything says to a packet."""
    match sent.protocol, sent.code:
        case ((Protocol.LCP | Protocol.IPCP), Code.CONFIGURE_REQUEST):
            data = b"" if sent.protocol is Protocol.LCP else bytes.fromhex("03060a09000a")
            ack = sent._replace(code=Code.CONFIGURE_ACK)
            return [ack, sent._replace(identifier=1, data=data)]
        case Protocol.CHAP, ChapCode.CHALLENGE:
            return [sent._replace(code=ChapCode.RESPONSE, data=b"\x31" + bytes(49) + b"alice")]
        case Protocol.CHAP, ChapCode.RESPONSE:
            return [sent._replace(code=ChapCode.SUCCESS, data=b"")]
        case Protocol.PAP, PapCode.AUTHENTICATE_REQUEST:
            return [sent._replace(code=PapCode.AUTHENTICATE_ACK, data=b"")]
    return []


class AnyPeer:
    """A link, what it has said, and what must hold whatever happens to it."""

    def __init__(self, config: LinkConfig) -> None:
        self.link = Link(config, entropy(1))
        self.is_server = config.credentials is None
        self.now = 0.0
        self.said: list[bytes] = []
        self.unanswered: list[bytes] = []
        self.requests: list[int] = []
        self.is_network_open = False
        self.is_authenticated = False
        self.closed = 0
        self.link.start(self.now)
        self.check()

    def take(self, step: Step) -> None:
        match step:
            case "octets", bytes(octets):
                self.link.receive(octets, self.now)
            case "packet", Sent() as packet:
                self.link.receive(packet.build(), self.now)
            case "cooperate", _:
                self.cooperate()
            case "reflect", _:
                for frame in self.said[-3:]:
                    self.link.receive(frame, self.now)
            case "wait", float(seconds):
                self.now += seconds
                self.link.handle_timeout(self.now)
            case "decide", bool(accept) if self.requests:
                self.decide(accept)
            case "terminate", _:
                self.link.terminate("enough", self.now)
            case "down", _:
                self.link.lower_down(self.now)
        self.check()

    def cooperate(self) -> None:
        """Answer what the link has said last as a good peer would."""
        unanswered, self.unanswered = self.unanswered, []
        for frame in unanswered:
            for packet in answers(read(frame)):
                self.link.receive(packet.build(), self.now)
        if self.is_server and self.link.phase is Phase.AUTHENTICATE:
            self.link.receive(PAP_LOGIN.build(), self.now)

    def decide(self, accept: bool) -> None:
        if accept:
            self.link.authenticated(self.requests[-1], b"S=", self.now)
        else:
            self.link.rejected(self.requests[-1], 691, "no", self.now)

    def check(self) -> None:
        was_closed = self.closed
        for event in drain(self.link):
            self.note(event)
        frames = self.link.frames_to_send()
        assert not (was_closed and frames)
        assert all(frame.startswith(b"\xff\x03") and len(frame) <= 1504 for frame in frames)
        self.said += frames
        self.unanswered += frames
        due = self.link.next_timeout()
        assert due is None or not self.closed
        self.link.handle_timeout(self.now)

    def note(self, event: Event) -> None:
        assert not self.closed
        match event:
            case AuthenticationRequested():
                self.requests.append(event.request)
            case Authenticated():
                self.is_authenticated = True
                if self.is_server:
                    self.link.assign(ASSIGNMENT, self.now)
            case NetworkOpened():
                assert not self.is_network_open
                assert self.is_authenticated or not self.is_server
                self.is_network_open = True
            case NetworkClosed():
                assert self.is_network_open
                self.is_network_open = False
            case LinkClosed():
                assert not self.is_network_open
                assert event.why
                self.closed += 1


@pytest.mark.parametrize("credentials", [None, CREDENTIALS])
@pytest.mark.parametrize("method", Method)
@settings(max_examples=150, deadline=None)
@given(progress=st.integers(0, 5), steps=st.lists(STEP, max_size=40))
def test_any_peer(
    method: Method, credentials: Credentials | None, progress: int, steps: list[Step]
) -> None:
    methods = tuple(sorted(Method, key=lambda other: other is not method))
    peer = AnyPeer(LinkConfig(credentials=credentials, methods=methods, authentication_attempts=2))
    for step in [COOPERATE, ACCEPT] * progress + steps:
        peer.take(step)


# Any network: after a time in which it loses, delays, reorders and duplicates at will, it works.

DELAY = st.floats(0.001, 2.0)
FATE = st.one_of(
    st.just(Fate(())),
    st.builds(lambda delay: Fate((delay,)), DELAY),
    st.builds(lambda one, other: Fate((one, other)), DELAY, DELAY),
)

LATE_SUCCESS = [
    Fate(delays)
    for delays in (
        *((2.0,), (1.0,), (1.0, 1.25), (), (0.5,), (), ()),
        *((2.0,), (0.5,), (0.5,), (2.0, 0.5), (0.5,), (1.0,)),
    )
]
"""After LCP was negotiated anew, an earlier Challenge comes once more, and the Success to it."""


@pytest.mark.parametrize("method", Method)
@settings(max_examples=150, deadline=None)
@given(fates=st.lists(FATE, max_size=16))
@example(fates=LATE_SUCCESS)
def test_any_network(method: Method, fates: list[Fate]) -> None:
    following = chain(fates, repeat(Fate()))
    pair = Pair(lambda: next(following), server=LinkConfig(methods=(method,)))
    pair.start()
    assert pair.run(100, lambda: both_open(pair)), pair.events
    assert pair.run(5) is False
    assert both_open(pair), "and stays open"


def both_open(pair: Pair) -> bool:
    return all(is_open(events) for events in pair.events.values())


def is_open(events: list[Event]) -> bool:
    kinds = (NetworkOpened, NetworkClosed)
    last = [event for event in events if isinstance(event, kinds)][-1:]
    return any(isinstance(event, NetworkOpened) for event in last)
