"""EAP through a whole server to RADIUS servers that misbehave, from peers that do."""

from dataclasses import replace
from hashlib import md5

import pytest

from aaa import Limits, Source
from aaa.lockout import Lockout
from aaa.radius.client import Datagram, Server
from aaa.radius.constants import AttributeType, Code, ErrorCause
from aaa.radius.eap import MAX_TIME
from aaa.radius.packet import Attribute, Packet, proves
from l2gate.configuration.model import RadiusSettings
from l2gate.events import Noted
from ppp.authentication import Send, Verdict
from ppp.config import Credentials, Method
from ppp.constants import EapCode
from ppp.eap import MAX_ROUNDS
from ppp.packet import Packet as EapPacket
from tests.support.client import ClientHost, ClientState
from tests.support.freeradius import SECRET
from tests.support.lab import PASSWORD, assert_passes_traffic
from tests.support.radius_lab import Answer, RadiusLab, reply
from wire import Entropy, Reader

ONE = Server("192.0.2.10", 1812, SECRET)
TWO = Server("192.0.2.11", 1812, SECRET)
SETTINGS = RadiusSettings((ONE, TWO), (), 9.0, 60.0, "vpn.example.com", None, relay_eap=True)
NAME = "bob@sales.example.com"
WHAT = b"\x63what"


class AnyPeer:
    """A peer of a method that only the server knows: it says the same to everything."""

    answer = b"\x63this"
    is_silent = False
    heard: list[EapPacket]
    """All that any of them has heard."""

    def __init__(self, credentials: Credentials, entropy: Entropy, send: Send) -> None:
        self._name = credentials.name.encode()
        self._send = send

    def start(self, now: float) -> None:
        """Nothing."""

    def receive(self, packet: EapPacket, now: float) -> Verdict | None:
        self.heard.append(packet)
        if packet.code in (EapCode.SUCCESS, EapCode.FAILURE):
            return Verdict(packet.code == EapCode.SUCCESS, "so it is said")
        if packet.data == b"\x01":
            self.respond(packet, b"\x01" + self._name)
        elif not self.is_silent:
            self.respond(packet, self.answer)
        return None

    def respond(self, request: EapPacket, data: bytes) -> None:
        self._send(EapPacket(EapCode.RESPONSE, request.identifier, data))

    def next_timeout(self) -> float | None:
        return None

    def handle_timeout(self, now: float) -> None:
        """Nothing."""


def eap(code: int, identifier: int = 77, data: bytes = b"") -> Attribute:
    return Attribute(AttributeType.EAP_MESSAGE, EapPacket(code, identifier, data).build())


STATE = Attribute(AttributeType.STATE, b"\0state\xff")
ASK = eap(EapCode.REQUEST, data=WHAT)
SUCCESS, FAILURE = eap(EapCode.SUCCESS), eap(EapCode.FAILURE)


class Script:
    """A server that answers by one entry after the other; the last one is for all others."""

    def __init__(self, *answers: tuple[Code, list[Attribute]] | None) -> None:
        self._answers = list(answers)
        self.asked: list[Packet] = []
        self.servers: list[Server] = []

    def __call__(self, request: Datagram) -> bytes | None:
        packet = Packet.parse(request.data)
        if not self.asked or packet.authenticator != self.asked[-1].authenticator:
            self.asked.append(packet)
            self.servers.append(request.server)
        turn = min(len(self.asked), len(self._answers)) - 1
        said = self._answers[turn]
        return None if said is None else reply(request, said[0], *said[1])

    def responses(self) -> list[EapPacket]:
        """Return what the peer was heard to say."""
        messages = (packet.attributes.joined(AttributeType.EAP_MESSAGE) for packet in self.asked)
        return [EapPacket.parse(Reader(message)) for message in messages]


CHALLENGE = Code.ACCESS_CHALLENGE, [ASK, STATE]
ACCEPT = Code.ACCESS_ACCEPT, [SUCCESS]
REJECT = Code.ACCESS_REJECT, [FAILURE]


def a_lab(answer: Answer, *order: Source, settings: RadiusSettings = SETTINGS) -> RadiusLab:
    lab = RadiusLab(settings, order or (Source.RADIUS,), answer)
    calls = lab.server.gateway.calls
    calls._links = replace(calls._links, methods=(Method.EAP,), relay_eap=True)
    return lab


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> type[AnyPeer]:
    class ThisPeer(AnyPeer):
        heard: list[EapPacket] = []  # noqa: RUF012 (one for each test)

    monkeypatch.setattr("ppp.link.EapPeer", ThisPeer)
    return ThisPeer


def with_eap(client: ClientHost) -> None:
    client._link_config = replace(
        client._link_config, methods=(Method.EAP,), authentication_timeout=1000.0
    )


def log_in(lab: RadiusLab, name: str = NAME, **others: object) -> ClientHost:
    return lab.log_in(name, PASSWORD, prepare=with_eap, **others)


def refused(lab: RadiusLab) -> Noted:
    (line, *_) = lab.server.noted("login refused")
    return line


def test_a_conversation(peer: type[AnyPeer]) -> None:
    script = Script(CHALLENGE, CHALLENGE, ACCEPT)
    lab = a_lab(script)
    client = log_in(lab, f"CORP\\{NAME}")
    assert client.state is ClientState.UP, client.why
    assert_passes_traffic(lab, client)
    names = [packet.attributes.first(AttributeType.USER_NAME) for packet in script.asked]
    assert names == [f"CORP\\{NAME}".encode()] * 3, "the identity, as it is"
    states = [packet.attributes.all(AttributeType.STATE) for packet in script.asked]
    assert states == [[], [b"\0state\xff"], [b"\0state\xff"]]
    assert all(proves(packet, packet.authenticator, SECRET) for packet in script.asked)
    mtus = [packet.attributes.number(AttributeType.FRAMED_MTU) for packet in script.asked]
    assert mtus == [1400] * 3
    assert [response.data for response in script.responses()] == [
        b"\x01CORP\\" + NAME.encode(),
        b"\x63this",
        b"\x63this",
    ]
    assert script.responses()[1].identifier == 77
    assert peer.heard[-1] == EapPacket(EapCode.SUCCESS, 77)
    assert lab.server.noted("logged in by EAP")
    assert not lab.server.gateway.radius._conversations


def test_a_peer_that_wants_another_method(peer: type[AnyPeer]) -> None:
    peer.answer = b"\x03\x19"
    script = Script(CHALLENGE, REJECT)
    client = log_in(a_lab(script))
    assert client.state is ClientState.FAILED
    assert script.responses()[1].data == b"\x03\x19"
    assert peer.heard[-1].code == EapCode.FAILURE


@pytest.mark.parametrize("attributes", [[], [FAILURE], [ASK]])
def test_an_accept_without_a_success_lets_in_and_makes_none_up(
    peer: type[AnyPeer], attributes: list[Attribute]
) -> None:
    """RFC 3579 section 2.6.3; a peer may take IPCP for a success (RFC 3748 section 3.4)."""
    lab = a_lab(Script(CHALLENGE, (Code.ACCESS_ACCEPT, attributes)))
    lab.client(NAME, prepare=with_eap)
    assert lab.run(20, lambda: bool(lab.server.noted("login accepted")))
    assert lab.server.noted("has no EAP-Success")
    lab.run(10)
    assert {packet.code for packet in peer.heard} == {EapCode.REQUEST}


@pytest.mark.parametrize("attributes", [[], [SUCCESS], [ASK]])
def test_a_reject_without_a_failure_lets_nobody_in_and_makes_none_up(
    peer: type[AnyPeer], attributes: list[Attribute]
) -> None:
    lab = a_lab(Script(CHALLENGE, (Code.ACCESS_REJECT, attributes)))
    client = lab.client(NAME, prepare=with_eap)
    assert lab.run(20, lambda: client.state is not ClientState.CONNECTING)
    assert {packet.code for packet in peer.heard} == {EapCode.REQUEST}
    assert "the RADIUS server refused" in str(refused(lab))
    assert lab.server.gateway.aaa.lockout._logins


@pytest.mark.parametrize(
    "attributes", [[], [SUCCESS], [FAILURE], [Attribute(AttributeType.EAP_MESSAGE, b"")]]
)
def test_a_challenge_with_nothing_to_answer_is_no_guess(
    peer: type[AnyPeer], attributes: list[Attribute]
) -> None:
    lab = a_lab(Script(CHALLENGE, (Code.ACCESS_CHALLENGE, [*attributes, STATE])))
    assert log_in(lab).state is ClientState.FAILED
    assert "needs an EAP-Request" in refused(lab).mend
    assert not lab.server.gateway.aaa.lockout._logins


def test_a_reject_counts_as_a_wrong_password(peer: type[AnyPeer]) -> None:
    script = Script(CHALLENGE, REJECT)
    lab = a_lab(script)
    lab.server.gateway.aaa.lockout = Lockout(Limits(2, 600.0, 900.0))
    log_in(lab)
    script.asked.clear()
    assert "is locked" in str(log_in(lab, host_name="b") and lab.server.noted("locked")[0])
    script.asked.clear()
    log_in(lab, host_name="c")
    assert not script.asked, "a lock keeps guesses away from the server"
    assert peer.heard[-1].code == EapCode.FAILURE


def test_who_leaves_before_the_refusal_has_guessed_too(peer: type[AnyPeer]) -> None:
    """What the method said may have been that the password is wrong."""
    lab = a_lab(Script(CHALLENGE))
    lab.server.gateway.aaa.lockout = Lockout(Limits(2, 600.0, 900.0))
    lockout = lab.server.gateway.aaa.lockout
    client = lab.client(NAME, prepare=with_eap)
    assert lab.run(20, lambda: len(lab.sent) > 2)
    assert not lockout._logins
    client.hang_up(lab.simulation.now)
    assert lab.run(60, lambda: not len(lab.server.gateway.calls))
    assert lockout._logins[NAME, "198.51.100.7"].wrong == 1
    assert not lab.server.gateway.radius._conversations
    assert not lab.server.gateway.aaa._questions


def test_who_leaves_before_the_first_answer_has_not(peer: type[AnyPeer]) -> None:
    peer.is_silent = True
    lab = a_lab(Script(CHALLENGE))
    client = lab.client(NAME, prepare=with_eap)
    assert lab.run(20, lambda: bool(lab.sent))
    client.hang_up(lab.simulation.now)
    assert lab.run(60, lambda: not len(lab.server.gateway.calls))
    assert not lab.server.gateway.aaa.lockout._logins


def test_a_silent_peer_is_asked_again_and_given_up(peer: type[AnyPeer]) -> None:
    peer.is_silent = True
    lab = a_lab(Script(CHALLENGE))
    client = lab.client(NAME, prepare=with_eap)
    assert lab.run(90, lambda: client.state is not ClientState.CONNECTING)
    assert lab.server.noted("no authentication within 60 s")
    assert len(lab.sent) == 1


def test_a_peer_that_says_all_twice_is_heard_once(peer: type[AnyPeer]) -> None:
    def twice(self: AnyPeer, request: EapPacket, data: bytes) -> None:
        for _ in range(2):
            self._send(EapPacket(EapCode.RESPONSE, request.identifier, data))

    peer.respond = twice  # type: ignore[method-assign]
    script = Script(CHALLENGE, (Code.ACCESS_CHALLENGE, [eap(1, 78, WHAT), STATE]), ACCEPT)
    assert log_in(a_lab(script)).state is ClientState.UP
    assert [response.identifier for response in script.responses()[1:]] == [77, 78]


def test_a_response_to_another_request_is_not_handed_on(peer: type[AnyPeer]) -> None:
    def to_another(self: AnyPeer, request: EapPacket, data: bytes) -> None:
        for identifier in (request.identifier - 1, request.identifier + 1, request.identifier):
            said = data if identifier == request.identifier else b"\x63forged"
            self._send(EapPacket(EapCode.RESPONSE, identifier % 256, said))

    peer.respond = to_another  # type: ignore[method-assign]
    script = Script(CHALLENGE, ACCEPT)
    assert log_in(a_lab(script)).state is ClientState.UP
    assert all(response.data != b"\x63forged" for response in script.responses())


def test_a_response_that_the_server_ignores_is_asked_for_again(peer: type[AnyPeer]) -> None:
    ignored = Attribute.number(AttributeType.ERROR_CAUSE, ErrorCause.INVALID_EAP_PACKET)
    script = Script(CHALLENGE, (Code.ACCESS_CHALLENGE, [ASK, STATE, ignored]), ACCEPT)
    client = log_in(a_lab(script))
    assert client.state is ClientState.UP
    assert [response.identifier for response in script.responses()[1:]] == [77, 77]


# Servers


def test_the_server_of_the_first_answer_has_the_whole_conversation(peer: type[AnyPeer]) -> None:
    """The first is dead; when it is back, the second is the one that knows the State."""
    script = Script(CHALLENGE, CHALLENGE, ACCEPT)
    lab = a_lab(lambda request: script(request) if request.server == TWO else None)
    lab.server.gateway.radius._client._config = replace(
        lab.server.gateway.radius._client._config, dead_time=0.001
    )
    assert log_in(lab).state is ClientState.UP
    assert [request.server for request in lab.sent][-2:] == [TWO, TWO]


def test_a_server_that_dies_in_the_midst_is_not_replaced(peer: type[AnyPeer]) -> None:
    script = Script(CHALLENGE, None)
    lab = a_lab(script)
    client = log_in(lab)
    assert client.state is ClientState.FAILED
    assert set(script.servers) == {ONE}
    line = refused(lab)
    assert "no RADIUS server answers" in str(line)
    assert "192.0.2.10" in line.mend
    assert "192.0.2.11" not in line.mend
    assert not lab.server.gateway.aaa.lockout._logins
    assert peer.heard[-1].code == EapCode.FAILURE


def test_with_nobody_to_answer_a_user_who_is_here_is_served_here() -> None:
    lab = a_lab(lambda request: None, Source.RADIUS, Source.LOCAL)
    client = log_in(lab, "u1@sales.example.com")
    assert client.state is ClientState.UP, client.why
    assert lab.server.noted("logged in by EAP-MSCHAPv2")


def test_but_not_in_the_midst(peer: type[AnyPeer]) -> None:
    lab = a_lab(Script(CHALLENGE, None), Source.RADIUS, Source.LOCAL)
    assert log_in(lab, "u1@sales.example.com").state is ClientState.FAILED
    assert "no RADIUS server answers" in str(refused(lab))


def test_users_who_are_here_first_are_not_asked_about() -> None:
    script = Script(CHALLENGE)
    lab = a_lab(script, Source.LOCAL, Source.RADIUS)
    assert log_in(lab, "u1@sales.example.com").state is ClientState.UP
    assert not script.asked


def test_users_of_no_department_are_refused_here() -> None:
    script = Script(CHALLENGE)
    lab = a_lab(script)
    assert log_in(lab, "bob@elsewhere.example.com").state is ClientState.FAILED
    assert "no department has this suffix" in str(refused(lab))
    assert not script.asked


@pytest.mark.parametrize("identity", ["", "b" * 254 + "@sales.example.com"])
def test_an_identity_that_no_attribute_holds(peer: type[AnyPeer], identity: str) -> None:
    script = Script(CHALLENGE)
    assert log_in(a_lab(script), identity).state is ClientState.FAILED
    assert not script.asked


def test_a_server_that_asks_for_ever(peer: type[AnyPeer]) -> None:
    script = Script(CHALLENGE)
    lab = a_lab(script)
    assert log_in(lab).state is ClientState.FAILED
    assert len(script.asked) == MAX_ROUNDS
    assert lab.server.noted(f"no end within {MAX_ROUNDS} requests")


def test_a_conversation_has_its_time(peer: type[AnyPeer]) -> None:
    """The server takes eight seconds for each answer."""
    script = Script(CHALLENGE)
    waiting: list[float] = []

    def slow(request: Datagram) -> bytes | None:
        if not waiting:
            waiting.append(lab.simulation.now)
        if lab.simulation.now - waiting[0] < 8:
            return None
        waiting.clear()
        return script(request)

    lab = a_lab(slow, settings=replace(SETTINGS, timeout=20.0))
    client = lab.client(NAME, prepare=with_eap)
    assert lab.run(MAX_TIME + 60, lambda: client.state is not ClientState.CONNECTING)
    line = refused(lab)
    assert f"EAP came to no end within {MAX_TIME:.0f} s" in line.mend
    assert not lab.server.gateway.aaa.lockout._logins


def unsigned(request: Datagram, code: Code, *attributes: Attribute, damage: bool = False) -> bytes:
    """Return an answer without Message-Authenticator, or with a wrong one."""
    asked = Packet.parse(request.data)
    body = b"".join(attribute.build() for attribute in attributes)
    if damage:
        body += bytes([AttributeType.MESSAGE_AUTHENTICATOR, 18]) + bytes(16)
    head = bytes([code, asked.identifier]) + (20 + len(body)).to_bytes(2, "big")
    return head + md5(head + asked.authenticator + body + SECRET).digest() + body


@pytest.mark.parametrize("damage", [False, True])
@pytest.mark.parametrize("attributes", [[SUCCESS], []])
@pytest.mark.parametrize("turn", [0, 1])
def test_what_is_not_signed_is_not_believed(
    peer: type[AnyPeer], turn: int, attributes: list[Attribute], damage: bool
) -> None:
    """Not even where other answers need no Message-Authenticator (RFC 3579 section 3.1)."""
    lax = replace(ONE, require_message_authenticator=False)
    script = Script(CHALLENGE)

    def forged(request: Datagram) -> bytes | None:
        if turn == 0 or script.asked:
            return unsigned(request, Code.ACCESS_ACCEPT, *attributes, damage=damage)
        return script(request)

    lab = a_lab(forged, settings=replace(SETTINGS, servers=(lax,)))
    assert log_in(lab).state is ClientState.FAILED
    line = refused(lab)
    assert "no RADIUS server answers" in str(line)
    wanted = "the secret differs" if damage else "it has no Message-Authenticator"
    assert wanted in line.mend


def test_a_conversation_that_begins_anew(peer: type[AnyPeer]) -> None:
    """LCP is negotiated once more: nothing of the first conversation is left."""
    script = Script(CHALLENGE, CHALLENGE, CHALLENGE)
    lab = a_lab(script)
    seen: list[int] = []

    def answer(request: Datagram) -> bytes | None:
        seen.append(1)
        if len(seen) == 3:
            (call,) = lab.server.gateway.calls
            call.link._lcp.down(lab.simulation.now)
            call.link._lcp.up(lab.simulation.now)
            return None
        return script(request) if len(seen) < 5 else reply(request, *flat(ACCEPT))

    lab.server.answer = answer
    client = lab.client(NAME, prepare=with_eap)
    assert lab.run(60, lambda: client.state is not ClientState.CONNECTING)
    assert client.state is ClientState.UP, client.why
    asked = {request.data: Packet.parse(request.data).attributes for request in lab.sent}
    messages = [attributes.joined(AttributeType.EAP_MESSAGE) for attributes in asked.values()]
    states = [attributes.all(AttributeType.STATE) for attributes in asked.values()]
    assert [message[4] for message in messages] == [1, 0x63, 0x63, 1]
    assert [len(state) for state in states] == [0, 1, 1, 0]


def flat(said: tuple[Code, list[Attribute]]) -> tuple[Code, Attribute]:
    return said[0], said[1][0]
