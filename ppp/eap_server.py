"""The server side of EAP: which method, and its conversation (RFC 3748 sections 2.1, 5.1, 5.3).

How this works: the peer says who it is, then we propose our methods in our order. A Nak says
which ones the peer would rather have; it is possible only in answer to the first Request of a
method, and each method is proposed once. What the table does not have is silently discarded, so
that the Request stays unanswered.

    State       the Request that waits is
    IDENTITY    for the Identity
    PROPOSED    the first of a method
    METHOD      a further one of the method that the peer has consented to
"""

from enum import Enum
from typing import Protocol as Interface

from ppp.authentication import Verdict
from ppp.config import EapMethod, LinkConfig
from ppp.constants import EapType
from ppp.eap import Message
from ppp.eap_mschapv2 import MsChapV2Server
from ppp.eap_tls import TlsServer
from ppp.proofs import Proof, decode_name
from wire import Entropy, LocalError

TYPES = {EapMethod.TLS: EapType.TLS, EapMethod.MS_CHAP_V2: EapType.MS_CHAP_V2}


class State(Enum):
    """Which Request waits for its Response."""

    IDENTITY = "identity"
    PROPOSED = "proposed"
    METHOD = "method"


class Event(Enum):
    """What a Response is, by its Type."""

    IDENTITY = "identity"
    NAK = "nak"
    METHOD = "method"
    OTHER = "other"


class Action(Enum):
    """What is done about it."""

    PROPOSE = "take the identity and propose the first method"
    PROPOSE_ANOTHER = "propose a method that the peer would rather have"
    CONVERSE = "let the method answer"


TRANSITIONS = {
    (State.IDENTITY, Event.IDENTITY): (Action.PROPOSE, State.PROPOSED),
    (State.PROPOSED, Event.NAK): (Action.PROPOSE_ANOTHER, State.PROPOSED),
    (State.PROPOSED, Event.METHOD): (Action.CONVERSE, State.METHOD),
    (State.METHOD, Event.METHOD): (Action.CONVERSE, State.METHOD),
}


class MethodServer(Interface):
    """The server side of a method; what it takes and returns is Type-Data, or as in EapBackend."""

    def start(self) -> bytes:
        """Return the first Request."""

    def receive(self, data: bytes) -> bytes | Proof | Verdict | None:
        """Take a Response; None discards it. Raises DecodeError."""

    def succeed(self, reply: bytes) -> bytes | Verdict:
        """The proof is right."""

    def fail(self, error: int, message: str) -> bytes | Verdict:
        """The proof is wrong."""


class EapServer:
    """One conversation. `mtu` is the most, in octets, that a packet to the peer may have."""

    __slots__ = (
        "_config",
        "_entropy",
        "_identity",
        "_method",
        "_mtu",
        "_state",
        "_type",
        "_untried",
    )

    def __init__(self, config: LinkConfig, mtu: int, entropy: Entropy) -> None:
        self._config = config
        self._mtu = mtu
        self._entropy = entropy
        self._state = State.IDENTITY
        self._identity = b""
        self._untried = [TYPES[method] for method in config.eap_methods]
        self._type = EapType.IDENTITY
        self._method: MethodServer

    def start(self) -> Message:
        """Ask for the Identity."""
        return Message(EapType.IDENTITY)

    def receive(self, response: Message) -> Message | Proof | Verdict | None:
        """Take a Response. Raises DecodeError."""
        transition = TRANSITIONS.get((self._state, self._event(response.type)))
        if transition is None:
            return None
        action, state = transition
        answer: Message | Proof | Verdict | None
        match action:
            case Action.PROPOSE:
                self._identity = response.data
                answer = self._propose(self._untried)
            case Action.PROPOSE_ANOTHER:
                answer = self._propose_another(response.data)
            case Action.CONVERSE:
                answer = self._wrap(self._method.receive(response.data))
        if answer is not None:
            self._state = state
        return answer

    def succeed(self, reply: bytes) -> Message | Verdict:
        """The proof is right; the method knows what to say."""
        answer = self._method.succeed(reply)
        return answer if isinstance(answer, Verdict) else Message(self._type, answer)

    def fail(self, error: int, message: str) -> Message | Verdict:
        """The proof is wrong; the method knows what to say."""
        answer = self._method.fail(error, message)
        return answer if isinstance(answer, Verdict) else Message(self._type, answer)

    def _event(self, kind: int) -> Event:
        if kind == self._type:
            return Event.IDENTITY if kind == EapType.IDENTITY else Event.METHOD
        return Event.NAK if kind == EapType.NAK else Event.OTHER

    def _propose(self, types: list[EapType]) -> Message | Verdict:
        """Propose the first of our methods that is among `types`."""
        self._type = next(kind for kind in self._untried if kind in types)
        self._untried.remove(self._type)
        self._method = self._new_method(self._type)
        return Message(self._type, self._method.start())

    def _propose_another(self, wanted: bytes) -> Message | Verdict:
        """Section 5.3.1: the Type-Data of a Nak are the Types that would do, 0 for none."""
        types = [EapType(kind) for kind in wanted]
        if any(kind in types for kind in self._untried):
            return self._propose(types)
        allowed = ", ".join(method.value for method in self._config.eap_methods)
        instead = ", ".join(str(kind) for kind in types if kind) or "no other"
        return Verdict(
            False,
            f"the peer refuses the EAP methods that we allow ({allowed}) and wants {instead}",
            "allow one of the methods in ppp.eap.methods on the client, or add one that it has",
        )

    def _new_method(self, kind: EapType) -> MethodServer:
        if kind is EapType.MS_CHAP_V2:
            config = self._config
            return MsChapV2Server(config.name, config.authentication_attempts, self._entropy)
        if self._config.tls is None:
            raise LocalError("EAP-TLS without a certificate")
        return TlsServer(self._config.tls, decode_name(self._identity)[0], self._mtu)

    def _wrap(self, answer: bytes | Proof | Verdict | None) -> Message | Proof | Verdict | None:
        return Message(self._type, answer) if isinstance(answer, bytes) else answer
