"""The authenticator that passes EAP through to a server elsewhere: RFC 3748 section 2.3.

How this works: we ask for the Identity ourselves. By it the program decides whether EAP goes on
here, as that of `ppp.eap`, or is handed on: then every Response goes to the program as it is,
beginning with the Identity's, and every Request that comes back goes to the peer as it is, with
its Identifier, which methods count on. No method is known here; it may be any.

What is ours to do is to repeat a Request until it is answered (RFC 3748 section 4.3), and to take
one Response to each (RFC 3579 section 2.2). While the server works, one other Response to the same
Request is kept, for the case that the server ignores the first.
"""

from ppp.authentication import REPEAT_INTERVAL, Send, Verdict
from ppp.constants import EapCode, EapType
from ppp.eap import EapAuthenticator, EapBackend, Message
from ppp.packet import HEADER_LENGTH, Packet
from ppp.proofs import EapResponse, Proof
from wire import Entropy, Reader

MAX_RESPONSE = 2048
"""Octets of a Response that is handed on: no link that is served takes larger packets, and it
fits into a packet of RADIUS together with all that is sent beside it."""


class EapRelay(EapAuthenticator):
    """One conversation; `backend` is for peers who prove themselves here.

    `mtu` is the most, in octets, that a packet to the peer may have. `_response` is what was
    handed on last, `_other` what else answers the same Request.
    """

    __slots__ = ("_identity", "_is_here", "_mtu", "_other", "_response")

    def __init__(self, backend: EapBackend, mtu: int, entropy: Entropy, send: Send) -> None:
        super().__init__(backend, entropy, send)
        self._mtu = mtu
        self._identity: bytes | None = None
        self._is_here = False
        self._response: Packet | None = None
        self._other: Packet | None = None

    def receive(self, packet: Packet, now: float) -> Proof | Verdict | None:
        """Take a packet; return it as what the program hands on. Raises DecodeError."""
        if self._is_here:
            return super().receive(packet, now)
        if packet.code != EapCode.RESPONSE or HEADER_LENGTH + len(packet.data) > MAX_RESPONSE:
            return None
        response = Message.parse(Reader(packet.data))
        if self._request is None:
            self._keep(packet)
            return None
        if packet.identifier != self._request.identifier:
            return None
        if self._identity is None:
            if response.type != EapType.IDENTITY:
                return None
            self._identity = response.data
        return self._hand_on(packet)

    def go_on_here(self, now: float) -> Proof | Verdict | None:
        """The peer, whose Identity was handed on, proves itself here; return as `receive`."""
        if self._response is None:
            return None
        self._is_here = True
        response, self._response, self._other = self._response, None, None
        return self._take(Message.parse(Reader(response.data)), now)

    def ask(
        self, request: Packet, interval: float | None, is_ignored: bool, now: float
    ) -> Proof | Verdict | None:
        """Send a Request of the server's, and again after each `interval`; return as `receive`.

        `is_ignored`: the server has ignored the last Response; if there is another one that goes
        to the server, and nothing to the peer (RFC 3579 section 2.2).
        """
        other, self._other = self._other, None
        if is_ignored and other is not None:
            return self._hand_on(other)
        self._identifier = request.identifier
        return self._send_request(request, interval or REPEAT_INTERVAL, now)

    def succeed(self, reply: bytes, now: float) -> bool:
        """Send the Success of the server's, if there is one: none is made up for it."""
        if self._is_here:
            return super().succeed(reply, now)
        self._end(Packet.parse(Reader(reply)) if reply else None)
        self._response = self._other = None
        return False

    def fail(self, error: int, message: str, now: float) -> bool:
        """Send a Failure: each is as any other."""
        if self._is_here:
            return super().fail(error, message, now)
        self._end(Packet(EapCode.FAILURE, self._identifier))
        return False

    def _hand_on(self, response: Packet) -> EapResponse:
        begins = self._response is None
        self._response, self._request, self._deadline = response, None, None
        return EapResponse(self._identity or b"", response.build(), self._mtu, begins)

    def _keep(self, packet: Packet) -> None:
        """Keep another Response than the one that the server has."""
        handed_on = self._response
        if handed_on is None or packet.identifier != handed_on.identifier or packet == handed_on:
            return
        self._other = packet
