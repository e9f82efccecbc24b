"""Just enough of a RADIUS server (RFC 2865, 3579) to let eapol_test talk to our EAP."""

import hmac
from collections.abc import Callable
from dataclasses import replace
from hashlib import md5
from socket import AF_INET, SOCK_DGRAM, socket
from struct import pack

from ppp.authentication import Verdict
from ppp.constants import EapCode, EapType
from ppp.eap import EapAuthenticator
from ppp.packet import Packet
from ppp.proofs import Proof
from wire import Reader

SECRET = b"radius"
ACCEPT, REJECT, CHALLENGE = 2, 3, 11
ANSWERS = {EapCode.REQUEST: CHALLENGE, EapCode.SUCCESS: ACCEPT, EapCode.FAILURE: REJECT}
STATE, EAP_MESSAGE, MESSAGE_AUTHENTICATOR = 24, 79, 80

Decide = Callable[[EapAuthenticator, Proof], None]
"""Be AAA: call `succeed` or `fail`."""


class RadiusServer:
    """Conversations with one client on loopback; `decide` judges its proofs.

    The client begins each with its Identity, in answer to a request of its own making;
    `before_each` is called with the number of conversations that were. `carried` are all EAP
    packets, of both sides in turn.
    """

    def __init__(
        self,
        authenticator: Callable[[Callable[[Packet], None]], EapAuthenticator],
        decide: Decide,
        before_each: Callable[[int], None] = lambda number: None,
    ) -> None:
        self._socket = socket(AF_INET, SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(20.0)
        self.port = self._socket.getsockname()[1]
        self.carried: list[bytes] = []
        self.verdicts: list[Verdict] = []
        self._out: list[Packet] = []
        self._authenticator = authenticator
        self._decide = decide
        self._before_each = before_each
        self._began = 0
        self._eap: EapAuthenticator

    def serve(self, conversations: int = 1) -> None:
        """Answer requests until so many conversations are over, or the client is in."""
        with self._socket:
            for _ in range(conversations):
                while (code := self._answer()) == CHALLENGE:
                    pass
                if code == ACCEPT:
                    return

    def _answer(self) -> int:
        datagram, client = self._socket.recvfrom(4096)
        identifier, authenticator = datagram[1], datagram[4:20]
        message = Packet.parse(Reader(b"".join(attributes(datagram[20:], EAP_MESSAGE))))
        if message.data[0] == EapType.IDENTITY:
            self._before_each(self._began)
            self._began += 1
            self._eap = self._authenticator(self._out.append)
            self._eap.start(0.0)
            message = replace(message, identifier=self._out.pop().identifier)
        self.carried.append(message.build())
        said = self._eap.receive(message, 0.0)
        if isinstance(said, Verdict):
            self.verdicts.append(said)
        elif said is not None:
            self._decide(self._eap, said)
        answer = self._out.pop()
        self.carried.append(answer.build())
        code = {EapCode.SUCCESS: ACCEPT, EapCode.FAILURE: REJECT}.get(
            EapCode(answer.code), CHALLENGE
        )
        self._socket.sendto(reply(code, identifier, authenticator, answer.build()), client)
        return code


def attributes(data: bytes, kind: int) -> list[bytes]:
    """Return the values of an attribute."""
    found = []
    while data:
        if data[0] == kind:
            found.append(data[2 : data[1]])
        data = data[data[1] :]
    return found


def reply(code: int, identifier: int, authenticator: bytes, message: bytes) -> bytes:
    """Return a response to the request with that Identifier and Authenticator."""
    values = b"".join(
        bytes([EAP_MESSAGE, 2 + len(message[at : at + 253])]) + message[at : at + 253]
        for at in range(0, len(message), 253)
    )
    values += bytes([STATE, 3, 1, MESSAGE_AUTHENTICATOR, 18])
    header = pack("!BBH", code, identifier, 20 + len(values) + 16)
    signature = hmac.digest(SECRET, header + authenticator + values + bytes(16), "md5")
    values += signature
    return header + md5(header + authenticator + values + SECRET).digest() + values
