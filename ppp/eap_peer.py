"""The peer's side of EAP: RFC 3748 section 2.1, with EAP-MSCHAPv2 as its only method."""

from ppp.authentication import Send, Verdict
from ppp.config import Credentials
from ppp.constants import EapCode, EapType
from ppp.eap import Message
from ppp.eap_mschapv2 import MsChapV2Peer
from ppp.packet import Packet
from wire import Entropy, Reader


class EapPeer:
    """Answers Requests; has no timer, because it is the authenticator that repeats.

    The same Request gets the same Response (section 4.1). A Success counts only after the
    method has succeeded, so that nobody can cut its proof short (section 4.2).
    """

    __slots__ = ("_credentials", "_method", "_request", "_response", "_send")

    def __init__(self, credentials: Credentials, entropy: Entropy, send: Send) -> None:
        self._credentials = credentials
        self._method = MsChapV2Peer(credentials, entropy)
        self._send = send
        self._request: Packet | None = None
        self._response: Packet | None = None

    def start(self, now: float) -> None:
        """LCP is open: it is for the authenticator to begin."""

    def receive(self, packet: Packet, now: float) -> Verdict | None:
        """Take a packet; return the verdict if it is one. Raises DecodeError."""
        verdict = self._method.verdict
        match packet.code:
            case EapCode.REQUEST:
                self._answer(packet)
            case EapCode.SUCCESS if verdict is not None and verdict.accepted:
                return verdict
            case EapCode.FAILURE if verdict is None or verdict.accepted:
                return Verdict(False, "the authenticator says no more than that it failed")
            case EapCode.FAILURE:
                return verdict
        return None

    def _answer(self, request: Packet) -> None:
        if self._response is None or request != self._request:
            response = self._respond(Message.parse(Reader(request.data)))
            self._request = request
            self._response = Packet(EapCode.RESPONSE, request.identifier, response.build())
        self._send(self._response)

    def _respond(self, request: Message) -> Message:
        match request.type:
            case EapType.IDENTITY:
                return Message(request.type, self._credentials.name.encode())
            case EapType.NOTIFICATION:
                return Message(request.type)
            case EapType.MS_CHAP_V2:
                return Message(request.type, self._method.receive(request.data))
        return Message(EapType.NAK, bytes([EapType.MS_CHAP_V2]))

    def next_timeout(self) -> float | None:
        """Return None."""
        return None

    def handle_timeout(self, now: float) -> None:
        """Nothing is ever due."""
