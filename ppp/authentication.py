"""What the authentication protocols have in common, and how LCP names them.

As in RFC 1994, the authenticator is the end that demands a proof, the peer the end that gives
it. An object of one of these lives from LCP's This-Layer-Up to its This-Layer-Down.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol as Interface

from ppp.config import Method
from ppp.constants import ChapAlgorithm, Protocol
from ppp.packet import Packet
from ppp.proofs import Proof

Send = Callable[[Packet], None]

REPEAT_INTERVAL = 3.0
"""Seconds until a Challenge, Response or Authenticate-Request is sent again."""

_OPTION_DATA = {
    Method.MS_CHAP_V2: Protocol.CHAP.to_bytes(2, "big") + bytes([ChapAlgorithm.MS_CHAP_V2]),
    Method.CHAP_MD5: Protocol.CHAP.to_bytes(2, "big") + bytes([ChapAlgorithm.MD5]),
    Method.PAP: Protocol.PAP.to_bytes(2, "big"),
    Method.EAP: Protocol.EAP.to_bytes(2, "big"),
}


def option_data(method: Method) -> bytes:
    """Return the Data of an Authentication-Protocol option (RFC 1661 section 6.2)."""
    return _OPTION_DATA[method]


def method_of(data: bytes) -> Method | None:
    """Return the method that the Data of an Authentication-Protocol option names, or None."""
    for method, known in _OPTION_DATA.items():
        if known == data:
            return method
    return None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an authentication ended.

    Of a proof of ours, `message` is the authenticator's. Of a peer's it says why there was no
    proof, or what became of it, and `hint` what to do about that.
    """

    accepted: bool
    message: str
    hint: str = ""


class Authenticator(Interface):
    """The end that demands a proof."""

    def start(self, now: float) -> None:
        """LCP is open."""

    def receive(self, packet: Packet, now: float) -> Proof | Verdict | None:
        """Take a packet; return a proof to verify, or how it ended. Raises DecodeError.

        It ends here where there is nothing to verify, and where it did not end with `succeed`
        or `fail` because the peer had yet to answer them.

        While a proof is verified, however long that takes, there is no other; repetitions of
        one that was answered are answered as before (RFC 1994 section 4.1, RFC 1334 section
        2.2.1).
        """

    def succeed(self, reply: bytes, now: float) -> bool:
        """The proof is right; return whether the peer has yet to confirm that.

        `reply` is what the proof's `verify` returned.
        """

    def fail(self, error: int, message: str, now: float) -> bool:
        """The proof is wrong; return whether the peer may try again, or has yet to confirm it.

        `error` is a number of RFC 2759 section 6.
        """

    def repeat(self) -> None:
        """Send the last answer once more, because the peer seems to have missed it."""

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due."""

    def handle_timeout(self, now: float) -> None:
        """Send again what is unanswered, if that is due."""


class Peer(Interface):
    """The end that gives a proof."""

    def start(self, now: float) -> None:
        """LCP is open."""

    def receive(self, packet: Packet, now: float) -> Verdict | None:
        """Take a packet; return the verdict if it is one. Raises DecodeError."""

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due."""

    def handle_timeout(self, now: float) -> None:
        """Send again what is unanswered, if that is due."""
