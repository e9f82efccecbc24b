"""Logins that RADIUS servers decide, and what is reported to them: all of RADIUS but its sockets.

How this works. `Aaa` asks about a login; the proof of PPP becomes attributes (RFC 2865 section 5,
RFC 2548), `aaa.radius.client` gets an answer from one of the servers, and what that says goes
back to `Aaa`. A login by EAP-MSCHAPv2 is asked as what it carries, MS-CHAPv2. The link waits
meanwhile, as long as the servers may take.

Where EAP passes through (`radius.relay_eap`) a login is a conversation: each Response of the peer
is a question, and a Challenge goes back to the link, which has the next Response, past `Aaa`.
"""

import re
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Final

from aaa import MsChapError, RadiusAsked
from aaa.radius.access import (
    Nas,
    Port,
    authorization,
    chap_md5,
    ms_chap_error,
    ms_chap_v2,
    ms_chap_v2_success,
    pap,
    session_attributes,
)
from aaa.radius.client import Answered, Client, ClientConfig, Datagram, Event, Server
from aaa.radius.constants import AttributeType, Code
from aaa.radius.eap import MAX_TIME, Challenge, Conversation, result_of
from aaa.radius.eap import Code as EapCode
from aaa.radius.packet import MAX_VALUE_LENGTH, Attribute
from aaa.remote import Answer, Denied, Granted, Malformed, Silent
from l2gate.accounting import Accounting, Reports
from l2gate.configuration.model import RadiusSettings
from ppp.proofs import ChapMd5Proof, EapResponse, MsChapV2Proof, PapProof
from wire import DecodeError, Entropy

PAUSES: Final = (2.0, 3.0, 4.0)
"""Seconds after each sending, at first; all further ones are as the last."""

LONGEST_PASSWORD: Final = 128
"""Octets that User-Password holds (RFC 2865 section 5.2)."""

RESPONSE_LENGTH: Final = 16

HERE: Final = "this server"

NOBODY = RadiusSettings((), (), 9.0, 60.0, "", None)


class Radius:
    """The requests of one server; without settings there is nobody to answer."""

    def __init__(
        self,
        settings: RadiusSettings | None,
        entropy: Entropy,
        wall: Callable[[], float],
        tell: Callable[[str, str], None],
        reports: Reports | None = None,
    ) -> None:
        """`wall` is the clock of people, `tell` gets what is worth a line, and what to do.

        `reports` are those that wait, where they are kept elsewhere than in memory.
        """
        settings = settings or NOBODY
        self._nas = Nas(settings.nas_identifier)
        self._servers = settings.servers
        pauses = pauses_of(settings.timeout)
        config = ClientConfig(settings.servers, pauses, settings.dead_time)
        self._client = Client(config, entropy)
        self._asked: dict[Hashable, RadiusAsked] = {}
        self._conversations: dict[Hashable, Conversation] = {}
        self._answers: deque[tuple[Hashable, int, Answer | Challenge]] = deque()
        self.accounting = Accounting(
            ClientConfig(settings.accounting_servers, pauses, settings.dead_time),
            self._nas,
            settings.interim_interval,
            entropy,
            wall,
            tell,
            reports,
        )

    def ask(self, asked: RadiusAsked, port: Port, now: float) -> None:
        """Ask the servers about a login; `next_answer` has what they say."""
        self._asked[asked.session] = asked
        proof = asked.proof
        if isinstance(proof, EapResponse):
            self._converse(asked, proof, port, now)
            return
        attributes = proof_attributes(asked)
        if attributes is None:
            self._answer(asked.session, Denied(HERE, message=UNFIT))
            return
        attributes = [*session_attributes(self._nas, port, asked.name), *attributes]
        self._client.request(asked.session, Code.ACCESS_REQUEST, attributes, now)
        self._settle()

    def _converse(self, asked: RadiusAsked, proof: EapResponse, port: Port, now: float) -> None:
        """Ask with a Response of EAP: any server where it begins, then the one that has it."""
        session = asked.session
        if proof.begins:
            self._conversations[session] = Conversation(now, proof.mtu)
        conversation = self._conversations[session]
        if not 0 < len(proof.identity) <= MAX_VALUE_LENGTH:
            self._answer(session, Denied(HERE, message=UNFIT))
        elif now - conversation.began > MAX_TIME:
            self._answer(session, Denied(HERE, NOT_GUESSED, UNENDING))
        else:
            attributes = session_attributes(self._nas, port, proof.identity)
            attributes += conversation.attributes(proof.packet)
            only = conversation.server
            self._client.request(session, Code.ACCESS_REQUEST, attributes, now, only)
            self._settle()

    def cancel(self, session: Hashable, now: float) -> None:
        """Forget what a session has asked."""
        self._conversations.pop(session, None)
        if self._asked.pop(session, None) is not None:
            self._client.cancel(session, now)

    def next_answer(self) -> tuple[Hashable, int, Answer | Challenge] | None:
        """Return session, request and answer of the next one, or None."""
        return self._answers.popleft() if self._answers else None

    def receive(self, data: bytes, server: Server, channel: int, now: float) -> None:
        """Take a UDP payload that came from the address of `server` to the socket `channel`."""
        if server in self._servers:
            self._client.receive(data, server, channel, now)
            self._settle()
        else:
            self.accounting.receive(data, server, channel, now)

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        self._client.handle_timeout(now)
        self._settle()
        self.accounting.handle_timeout(now)

    def next_timeout(self) -> float | None:
        """Return when something is due, or None."""
        moments = (self._client.next_timeout(), self.accounting.next_timeout())
        return min((moment for moment in moments if moment is not None), default=None)

    def datagrams_to_send(self) -> list[Datagram]:
        """Return what is to be sent, and forget it."""
        return self._client.datagrams_to_send() + self.accounting.datagrams_to_send()

    def answering(self) -> list[tuple[str, str, bool | None]]:
        """Return each server, what it is for, and whether it answers; None: not asked yet."""
        uses = (("logins", self._client), ("accounting", self.accounting.client))
        return [
            (str(server), use, answers)
            for use, client in uses
            for server, answers in client.answering().items()
        ]

    def _settle(self) -> None:
        while (event := self._client.next_event()) is not None:
            asked = self._asked.get(event.key)
            if asked is not None:
                self._answer(event.key, self._said(event, asked))

    def _said(self, event: Event, asked: RadiusAsked) -> Answer | Challenge:
        """Return what the servers say about a login."""
        conversation = self._conversations.get(event.key)
        if conversation is None or not isinstance(asked.proof, EapResponse):
            return _read(event, asked)
        if not isinstance(event, Answered) or event.code != Code.ACCESS_CHALLENGE:
            return _read(event, asked)
        try:
            return conversation.challenged(event)
        except DecodeError as error:
            return Malformed(str(event.server), str(error))

    def _answer(self, session: Hashable, answer: Answer | Challenge) -> None:
        if not isinstance(answer, Challenge):
            self._conversations.pop(session, None)
        self._answers.append((session, self._asked.pop(session).request, answer))


UNENDING: Final = f"EAP came to no end within {MAX_TIME:.0f} s"

NOT_GUESSED: Final = int(MsChapError.NO_DIALIN_PERMISSION)
"""The error of a refusal that is not because of a wrong password."""

UNFIT: Final = "name, password or response does not fit into a RADIUS attribute"


def pauses_of(timeout: float) -> tuple[float, ...]:
    """Return the pauses after each sending to a server that has `timeout` seconds to answer."""
    pauses: list[float] = []
    while (left := timeout - sum(pauses)) > 0:
        wanted = PAUSES[min(len(pauses), len(PAUSES) - 1)]
        pauses.append(left if left < 2 * wanted and left - wanted < PAUSES[0] else wanted)
    return tuple(pauses)


def proof_attributes(asked: RadiusAsked) -> Sequence[Attribute] | None:
    """Return what a peer has proven itself by, or None where RADIUS has no room for it."""
    proof = asked.proof
    if not 0 < len(asked.name.encode()) <= MAX_VALUE_LENGTH:
        return None
    match proof:
        case PapProof() if len(proof.password) <= LONGEST_PASSWORD:
            return pap(proof.password)
        case ChapMd5Proof() if len(proof.response) == RESPONSE_LENGTH:
            return chap_md5(proof.identifier, proof.challenge, proof.response)
        case MsChapV2Proof():
            return ms_chap_v2(
                0, proof.authenticator_challenge, proof.peer_challenge, proof.nt_response
            )
    return None


def _read(event: Event, asked: RadiusAsked) -> Answer:
    """Return what the servers say about a login."""
    if not isinstance(event, Answered):
        return Silent(event.why.partition(": ")[2] or event.why)
    server, attributes = str(event.server), event.attributes
    by_eap = isinstance(asked.proof, EapResponse)
    try:
        if event.code == Code.ACCESS_ACCEPT:
            return Granted(authorization(attributes), _success(event, asked))
        if event.code == Code.ACCESS_CHALLENGE:
            return Denied(server, message="it wants a second answer, which PPP cannot ask for")
        said = " ".join(attributes.texts(AttributeType.REPLY_MESSAGE))
        is_tacit = by_eap and not result_of(attributes, EapCode.FAILURE)
        return Denied(server, ms_chap_error(attributes), said, is_tacit)
    except DecodeError as error:
        return Malformed(server, str(error))


def _success(event: Answered, asked: RadiusAsked) -> bytes:
    """Return the octets of the success message. Raises DecodeError if a peer would not take it."""
    if isinstance(asked.proof, EapResponse):
        return result_of(event.attributes, EapCode.SUCCESS)
    if not isinstance(asked.proof, MsChapV2Proof):
        return b""
    text = ms_chap_v2_success(event.attributes) or b""
    found = re.match(rb"S=[0-9A-Fa-f]{40}", text)
    if found is None:
        raise DecodeError("MS-CHAP2-Success is missing, without which the client hangs up")
    return found[0]
