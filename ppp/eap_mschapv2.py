"""EAP-MSCHAPv2, both ends: draft-kamath-pppext-eap-mschapv2.

Inside EAP are the packets of MS-CHAPv2 as they are (its OpCode, MS-CHAPv2-ID and MS-Length are
Code, Identifier and Length), each as Type-Data of a Request or a Response; so `ppp.chap` speaks
here, too. What is new is that the peer answers Success and Failure, with nothing but an OpCode.

That a Response answers our Request is known from the Identifier of EAP. The one inside is
ignored, because peers do not agree on whether another try counts it up.
"""

from dataclasses import replace

from ppp.authentication import Verdict
from ppp.chap import ChapAuthenticator, ChapPeer
from ppp.config import Credentials, EapMethod, Method
from ppp.constants import ChapCode
from ppp.packet import Packet
from ppp.proofs import MsChapV2Change, MsChapV2Proof, Proof
from wire import DecodeError, Entropy, Reader

NAME = EapMethod.MS_CHAP_V2.value
ACKNOWLEDGED = bytes([ChapCode.SUCCESS])
REFUSED = bytes([ChapCode.FAILURE])


class MsChapV2Server:
    """The server's side.

    `_verdict` is what was said last, which the peer has yet to answer. Unless it `_may_retry`,
    any answer to a Failure is the end.
    """

    __slots__ = ("_chap", "_may_retry", "_sent", "_verdict")

    def __init__(self, name: str, attempts: int, entropy: Entropy) -> None:
        self._sent: list[Packet] = []
        self._chap = ChapAuthenticator(
            Method.MS_CHAP_V2, name, attempts, entropy, self._sent.append
        )
        self._verdict: Verdict | None = None
        self._may_retry = False

    def start(self) -> bytes:
        """Return a Challenge, whose repetition is EAP's business."""
        self._chap.start(0.0)
        return self._take()

    def receive(self, data: bytes) -> Proof | Verdict | None:
        """Take a Response, a Change-Password packet, or the answer to Success or Failure."""
        if self._verdict is not None and self._verdict.accepted:
            if data[:1] == REFUSED:
                return Verdict(False, "the peer does not believe that we know the password")
            return self._verdict if data[:1] == ACKNOWLEDGED else None
        if self._verdict is not None and (not self._may_retry or data[:1] == REFUSED):
            return self._verdict
        packet = Packet.parse(Reader(data))
        proof = self._chap.receive(replace(packet, identifier=self._chap.identifier), 0.0)
        match proof:
            case MsChapV2Proof():
                return replace(proof, method=NAME)
            case MsChapV2Change():
                return replace(proof, new=replace(proof.new, method=NAME))
        return None

    def succeed(self, reply: bytes) -> bytes:
        """Return a Success, which proves that we know the password, too."""
        self._chap.succeed(reply, 0.0)
        self._verdict = Verdict(True, "")
        return self._take()

    def fail(self, error: int, message: str) -> bytes:
        """Return a Failure; the peer may answer it by another try if it says so."""
        self._may_retry = self._chap.fail(error, message, 0.0)
        self._verdict = Verdict(False, message)
        return self._take()

    def _take(self) -> bytes:
        return self._sent.pop().build()


class MsChapV2Peer:
    """The peer's side; `verdict` is what it makes of Success and Failure."""

    __slots__ = ("_chap", "_sent", "verdict")

    def __init__(self, credentials: Credentials, entropy: Entropy) -> None:
        self._sent: list[Packet] = []
        self._chap = ChapPeer(Method.MS_CHAP_V2, credentials, entropy, self._sent.append)
        self.verdict: Verdict | None = None

    def receive(self, data: bytes) -> bytes:
        """Take a Request; return the Response. Raises DecodeError."""
        verdict = self._chap.receive(Packet.parse(Reader(data)), 0.0)
        if verdict is not None:
            self.verdict = verdict
            return ACKNOWLEDGED if verdict.accepted else REFUSED
        if not self._sent:
            raise DecodeError("no Challenge, and no Success or Failure of a Response")
        return self._sent.pop().build()
