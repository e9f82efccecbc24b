"""The Extensible Authentication Protocol over PPP: RFC 3748, the part of the authenticator.

The authenticator asks one Request at a time, repeats it until it is answered, and hands each
Response to a backend, which says what comes next (RFC 3748 section 2.3). `ppp.eap_server` is
that backend; where another server may be it, such as one of RADIUS, see `ppp.eap_relay`.
"""

from dataclasses import dataclass, field
from typing import Protocol as Interface
from typing import Self

from ppp.authentication import REPEAT_INTERVAL, Send, Verdict
from ppp.constants import EapCode
from ppp.packet import Packet
from ppp.proofs import Proof
from wire import Entropy, Reader, Writer

MAX_ROUNDS = 100
"""Requests in one conversation: enough for TLS messages in many fragments."""


@dataclass(frozen=True, slots=True)
class Message:
    """The Data of a Request or Response: Type and Type-Data (RFC 3748 section 4.1)."""

    type: int
    data: bytes = field(default=b"", repr=False)

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the Data. Raises DecodeError."""
        return cls(reader.u8(), reader.rest())

    def build(self) -> bytes:
        """Return the Data."""
        return Writer().u8(self.type).put(self.data).build()


class EapBackend(Interface):
    """Says what comes next: a Request, a proof to verify, or the end, as Success or Failure."""

    def start(self) -> Message:
        """Return the first Request."""

    def receive(self, response: Message) -> Message | Proof | Verdict | None:
        """Take a Response; None discards it. Raises DecodeError, which discards it, too."""

    def succeed(self, reply: bytes) -> Message | Verdict:
        """The proof is right; `reply` is what its `verify` returned."""

    def fail(self, error: int, message: str) -> Message | Verdict:
        """The proof is wrong; `error` is a number of RFC 2759 section 6."""


class EapAuthenticator:
    """Sends the Requests of a backend, and repeats each with the same Identifier until answered.

    `_request` is the one that waits for its Response; while a proof is verified there is none.
    What answers no Request is discarded (RFC 3748 section 4.1). `_result` is the Success that
    is repeated to a peer that seems to have missed it; with it the backend is gone.
    """

    __slots__ = (
        "_backend",
        "_deadline",
        "_identifier",
        "_interval",
        "_request",
        "_result",
        "_rounds",
        "_send",
    )

    def __init__(self, backend: EapBackend, entropy: Entropy, send: Send) -> None:
        self._backend = backend
        self._send = send
        self._identifier = entropy(1)[0]
        self._rounds = 0
        self._interval = REPEAT_INTERVAL
        self._request: Packet | None = None
        self._result: Packet | None = None
        self._deadline: float | None = None

    def start(self, now: float) -> None:
        """Send the first Request."""
        self._go_on(self._backend.start(), now)

    def receive(self, packet: Packet, now: float) -> Proof | Verdict | None:
        """Take a packet; return a proof to verify, or how it ended. Raises DecodeError."""
        if packet.code != EapCode.RESPONSE or self._request is None:
            return None
        if packet.identifier != self._request.identifier:
            return None
        return self._take(Message.parse(Reader(packet.data)), now)

    def _take(self, response: Message, now: float) -> Proof | Verdict | None:
        """Let the backend answer a Response."""
        answer = self._backend.receive(response)
        if isinstance(answer, Message | Verdict):
            return self._go_on(answer, now)
        if answer is not None:
            self._request = self._deadline = None
        return answer

    def succeed(self, reply: bytes, now: float) -> bool:
        """Send the Success, or first what the method makes of it; return whether it does."""
        return self._go_on(self._backend.succeed(reply), now) is None

    def fail(self, error: int, message: str, now: float) -> bool:
        """Send the Failure, or first what the method makes of it; return whether it does."""
        return self._go_on(self._backend.fail(error, message), now) is None

    def _go_on(self, answer: Message | Verdict, now: float) -> Verdict | None:
        """Send the next Request, or Success or Failure; return the verdict, if it is the end."""
        if isinstance(answer, Message):
            self._identifier = (self._identifier + 1) % 256
            request = Packet(EapCode.REQUEST, self._identifier, answer.build())
            return self._send_request(request, REPEAT_INTERVAL, now)
        self._end(Packet(EapCode.SUCCESS if answer.accepted else EapCode.FAILURE, self._identifier))
        return answer

    def _send_request(self, request: Packet, interval: float, now: float) -> Verdict | None:
        """Send a Request, and again after each `interval`, unless there were too many."""
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            return self._go_on(
                Verdict(False, f"EAP came to no end within {MAX_ROUNDS} requests"), now
            )
        self._request, self._interval = request, interval
        self._repeat(now)
        return None

    def _end(self, result: Packet | None) -> None:
        """Send a Success or Failure, where there is one."""
        self._request = self._deadline = None
        # The link may live for weeks: it shall not keep what TLS has needed.
        del self._backend
        self._result = result
        self.repeat()

    def repeat(self) -> None:
        """Send the Success once more, where there was one."""
        if self._result is not None:
            self._send(self._result)

    def next_timeout(self) -> float | None:
        """Return when the Request is sent again."""
        return self._deadline

    def handle_timeout(self, now: float) -> None:
        """Send the Request again if that is due."""
        if self._deadline is not None and now >= self._deadline:
            self._repeat(now)

    def _repeat(self, now: float) -> None:
        if self._request is not None:
            self._deadline = now + self._interval
            self._send(self._request)
