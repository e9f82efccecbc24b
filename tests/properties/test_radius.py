"""Whatever a RADIUS server says, and whoever it is: the login ends in one decision."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from aaa import Aaa, ClientFacts, Decided, RadiusAsked, Source
from aaa.radius.access import Port
from aaa.radius.client import Server
from aaa.radius.constants import MICROSOFT, AttributeType, Code, MicrosoftType
from aaa.radius.packet import Attribute, Packet, response
from l2gate.configuration.model import RadiusSettings
from l2gate.radius import Radius
from ppp.proofs import ChapMd5Proof, MsChapV2Proof, PapProof, Proof
from tests.support.lab import configuration
from tests.support.radius_lab import asking

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
            request = Packet.parse(datagram.data)
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
