"""The Password Authentication Protocol: RFC 1334 section 2."""

from dataclasses import dataclass, field
from typing import Self

from ppp.authentication import REPEAT_INTERVAL, Send, Verdict
from ppp.config import Credentials
from ppp.constants import PapCode
from ppp.packet import Packet
from ppp.proofs import PapProof, decode_name
from wire import Reader, Writer


@dataclass(frozen=True, slots=True)
class AuthenticateRequest:
    """The Data of an Authenticate-Request (section 2.2.1)."""

    peer_id: bytes
    password: bytes = field(repr=False)

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the Data. Raises DecodeError."""
        return cls(reader.take(reader.u8()), reader.take(reader.u8()))

    def build(self) -> bytes:
        """Return the Data."""
        writer = Writer().u8(len(self.peer_id)).put(self.peer_id)
        return writer.u8(len(self.password)).put(self.password).build()


@dataclass(frozen=True, slots=True)
class Reply:
    """The Data of an Authenticate-Ack or -Nak (section 2.2.2)."""

    message: bytes

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the Data; some send none at all. Raises DecodeError."""
        return cls(reader.take(reader.u8()) if reader.remaining else b"")

    def build(self) -> bytes:
        """Return the Data."""
        return Writer().u8(len(self.message)).put(self.message).build()


class PapAuthenticator:
    """Waits for Authenticate-Requests; has no timer, because it is the peer that repeats."""

    __slots__ = ("_answer", "_identifier", "_is_pending", "_send")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._identifier = 0
        self._is_pending = False
        self._answer: Packet | None = None

    def start(self, now: float) -> None:
        """LCP is open: it is for the peer to begin."""

    def receive(self, packet: Packet, now: float) -> PapProof | None:
        """Take a packet; return a proof to verify. Raises DecodeError."""
        if packet.code != PapCode.AUTHENTICATE_REQUEST:
            return None
        request = AuthenticateRequest.parse(Reader(packet.data))
        self._identifier = packet.identifier
        if self._answer is not None:
            self._reply(PapCode(self._answer.code), self._answer.data)
            return None
        if self._is_pending:
            return None
        self._is_pending = True
        return PapProof(decode_name(request.peer_id)[0], request.password)

    def succeed(self, reply: bytes, now: float) -> bool:
        """Send an Authenticate-Ack."""
        self._reply(PapCode.AUTHENTICATE_ACK, Reply(reply[:255]).build())
        return False

    def fail(self, error: int, message: str, now: float) -> bool:
        """Send an Authenticate-Nak; there is no second try."""
        self._reply(PapCode.AUTHENTICATE_NAK, Reply(message.encode()[:255]).build())
        return False

    def repeat(self) -> None:
        """Send the last answer once more."""
        if self._answer is not None:
            self._send(self._answer)

    def next_timeout(self) -> float | None:
        """Return None."""
        return None

    def handle_timeout(self, now: float) -> None:
        """Nothing is ever due."""

    def _reply(self, code: PapCode, data: bytes) -> None:
        """Answer the latest request: each repetition may have an Identifier of its own."""
        self._answer = Packet(code, self._identifier, data)
        self._send(self._answer)


class PapPeer:
    """Sends Authenticate-Requests until one is answered."""

    __slots__ = ("_credentials", "_deadline", "_identifier", "_send")

    def __init__(self, credentials: Credentials, send: Send) -> None:
        self._credentials = credentials
        self._send = send
        self._identifier = 0
        self._deadline: float | None = None

    def start(self, now: float) -> None:
        """LCP is open: begin."""
        self._identifier = (self._identifier + 1) % 256
        self._deadline = now + REPEAT_INTERVAL
        name, password = self._credentials.name.encode(), self._credentials.password.encode()
        data = AuthenticateRequest(name[:255], password[:255]).build()
        self._send(Packet(PapCode.AUTHENTICATE_REQUEST, self._identifier, data))

    def receive(self, packet: Packet, now: float) -> Verdict | None:
        """Take a packet; return the verdict if it is one. Raises DecodeError."""
        answers = (PapCode.AUTHENTICATE_ACK, PapCode.AUTHENTICATE_NAK)
        if packet.code not in answers or packet.identifier != self._identifier:
            return None
        message = Reply.parse(Reader(packet.data)).message
        self._deadline = None
        accepted = packet.code == PapCode.AUTHENTICATE_ACK
        return Verdict(accepted, message.decode(errors="backslashreplace"))

    def next_timeout(self) -> float | None:
        """Return when the request is sent again."""
        return self._deadline

    def handle_timeout(self, now: float) -> None:
        """Send the request again if that is due; its Identifier must change (section 2.2.1)."""
        if self._deadline is not None and now >= self._deadline:
            self.start(now)
