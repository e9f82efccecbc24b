"""Whatever a RADIUS server says, and whoever it is: the login ends in one decision."""

from contextlib import suppress
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from aaa import Aaa, ClientFacts, Decided, RadiusAsked, Source
from aaa.radius.access import Port
from aaa.radius.client import Server
from aaa.radius.constants import MICROSOFT, AttributeType, Code, MicrosoftType
from aaa.radius.eap import Challenge
from aaa.radius.packet import Attribute, response
from aaa.radius.packet import Packet as RadiusPacket
from l2gate.configuration.model import RadiusSettings
from l2gate.radius import Radius
from ppp.config import LinkConfig
from ppp.constants import EapCode
from ppp.eap_relay import EapRelay
from ppp.eap_server import EapServer
from ppp.packet import Packet
from ppp.proofs import ChapMd5Proof, EapResponse, MsChapV2Proof, PapProof, Proof
from tests.support.lab import configuration
from tests.support.radius_lab import asking
from wire import DecodeError, Reader

SERVER = Server("192.0.2.10", 1812, b"secret")
SETTINGS = RadiusSettings((SERVER,), (), 9.0, 60.0, "vpn", None)
PORT = Port(7, "1-1", "198.51.100.7", "203.0.113.1")

KNOWN = st.sampled_from([int(kind) for kind in AttributeType])
VALUES = st.binary(max_size=12) | st.binary(min_size=4, max_size=4)
OF_MICROSOFT = st.builds(
    Attribute.of_vendor,
    st.just(MICROSOFT),
    st.sampled_from([int(kind) for kind in MicrosoftType]),
    VALUES | st.just(b"\0S=" + b"0" * 40) | st.just(b"\0E=691 R=1"),
)
ATTRIBUTES = st.lists(
    st.builds(Attribute, KNOWN | st.integers(0, 255), VALUES) | OF_MICROSOFT, max_size=6
)
CODES = st.sampled_from([Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE])
NAMES = st.text(max_size=300) | st.just("bob@sales.example.com")
PROOFS = (
    st.builds(PapProof, NAMES, st.binary(max_size=255))
    | st.builds(
        ChapMd5Proof, NAMES, st.integers(0, 255), st.just(bytes(16)), st.binary(max_size=255)
    )
    | st.builds(MsChapV2Proof, NAMES, st.just(bytes(16)), st.just(bytes(16)), st.just(bytes(24)))
)


@given(PROOFS, CODES, ATTRIBUTES, st.binary(max_size=60))
def test_every_question_has_one_decision(
    proof: Proof, code: Code, attributes: list[Attribute], rubbish: bytes
) -> None:
    aaa = Aaa(asking(configuration().directory, (Source.RADIUS,)))
    radius = Radius(SETTINGS, Random(1).randbytes, lambda: 0.0, lambda *_: None)
    aaa.request(7, 1, proof.name, proof, ClientFacts("198.51.100.7"))
    asked = aaa.next_event()
    if isinstance(asked, RadiusAsked):
        radius.ask(asked, PORT, 0.0)
        for datagram in radius.datagrams_to_send():
            request = RadiusPacket.parse(datagram.data)
            head = request.identifier, request.authenticator
            radius.receive(rubbish, SERVER, datagram.channel, 1.0)
            octets = response(code, *head, attributes, SERVER.secret)
            radius.receive(octets, SERVER, datagram.channel, 1.0)
        if (answer := radius.next_answer()) is None:  # what was sent was believed by nobody
            for now in (10.0, 20.0, 30.0):
                radius.handle_timeout(now)
            answer = radius.next_answer()
        assert answer is not None
        aaa.answered(*answer)
        asked = aaa.next_event()
    assert isinstance(asked, Decided)
    assert aaa.next_event() is None
    assert radius.next_answer() is None


EAP_PACKETS = st.builds(
    lambda code, data: bytes([code, 7]) + (4 + len(data)).to_bytes(2, "big") + data,
    st.integers(0, 5),
    st.binary(max_size=600),
)
SAID = st.lists(st.tuples(CODES, ATTRIBUTES, EAP_PACKETS | st.binary(max_size=300)), max_size=4)
RESPONSES = st.lists(st.builds(Packet, st.integers(0, 5), st.integers(6, 8), st.binary()))


@given(SAID, RESPONSES)
def test_whatever_is_said_by_eap_the_link_lives_or_ends(
    said: list[tuple[Code, list[Attribute], bytes]], responses: list[Packet]
) -> None:
    """Servers and peers say anything; what a Challenge has is always a Request for the peer."""
    sent: list[Packet] = []
    backend = EapServer(LinkConfig(), 1400, Random(2).randbytes)
    relay = EapRelay(backend, 1400, Random(2).randbytes, sent.append)
    relay.start(0.0)
    identity = Packet(EapCode.RESPONSE, sent[-1].identifier, b"\x01bob@sales.example.com")
    proof = relay.receive(identity, 0.0)
    radius = Radius(SETTINGS, Random(1).randbytes, lambda: 0.0, lambda *_: None)
    for code, attributes, message in said:
        assert isinstance(proof, EapResponse)
        asked = RadiusAsked(7, 1, proof.name, proof, ClientFacts("198.51.100.7"))
        radius.ask(asked, PORT, 0.0)
        (datagram,) = radius.datagrams_to_send()
        request = RadiusPacket.parse(datagram.data)
        pieces = [
            Attribute(AttributeType.EAP_MESSAGE, message[at : at + 253])
            for at in range(0, len(message), 253)
        ]
        head = request.identifier, request.authenticator
        octets = response(code, *head, [*pieces, *attributes], SERVER.secret)
        radius.receive(octets, SERVER, datagram.channel, 1.0)
        answer = radius.next_answer()
        if answer is None or not isinstance(answer[2], Challenge):
            return
        challenge = answer[2]
        relay.ask(Packet.parse(Reader(challenge.packet)), challenge.interval, False, 1.0)
        assert sent[-1].code == EapCode.REQUEST
        assert sent[-1].build() == challenge.packet
        for packet in responses:
            with suppress(DecodeError):
                proof = relay.receive(packet, 1.0) or proof
        if proof.packet[1] != sent[-1].identifier:
            return
