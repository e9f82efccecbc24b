"""What all exchanges have in common: messages get lost and come twice.

RFC 2408 section 5.1 leaves it to the sender of a request to send it again. So the initiator of
an exchange runs a timer, and the responder answers a repeated message with the answer that it
gave before, octet for octet: neither state nor IV moves (RFC 2409 appendix B).
"""

from typing import Final, NamedTuple

from ipsec.constants import HashAlgorithm
from ipsec.crypto import digest
from ipsec.message import Header, Payloads
from ipsec.path import Path

MAX_REPEATED_ANSWERS: Final = 16
"""So often one message is answered again; nobody can be flooded through us by repeating it."""


class Incoming(NamedTuple):
    """A message as received; `payloads` is empty as long as the body is encrypted."""

    header: Header
    body: bytes
    path: Path
    payloads: Payloads = Payloads((), b"")


class LastMessages:
    """The last message of the peer in one exchange, by its digest, and our answer to it."""

    __slots__ = ("_answer", "_received", "_repeats")

    def __init__(self) -> None:
        self._received = b""
        self._answer: bytes | None = None
        self._repeats = 0

    def remember(self, received: bytes, answer: bytes | None) -> None:
        """Take the message that the exchange went on with, and what it sent in return."""
        self._received = digest(HashAlgorithm.SHA2_256, received)
        self._answer = answer
        self._repeats = 0

    def is_repeated(self, received: bytes) -> bool:
        """Say whether this is the last message once more."""
        return self._received == digest(HashAlgorithm.SHA2_256, received)

    def answer_again(self) -> bytes | None:
        """Return the answer to a repeated message, or None if it had none or had it too often."""
        self._repeats += 1
        return self._answer if self._repeats <= MAX_REPEATED_ANSWERS else None
