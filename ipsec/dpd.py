"""Dead peer detection: RFC 3706.

Any packet that was authenticated shows that a peer lives. One that has been silent is asked
(R-U-THERE) and must answer, if it sent the vendor id; Windows does not. Each question is a new
message with the next sequence number, because peers drop repeated ones.
"""

from typing import Final

from ipsec.constants import NotifyType, PayloadType, ProtocolId
from ipsec.message import Payload
from ipsec.payloads import Notification

TRIES: Final = 14
"""Questions that go without an answer before a peer counts as dead. If each way loses 20 % of all
packets, question and answer both arrive with 0.8 * 0.8 = 64 %, and all of n rounds fail with
0.36 ** n: 14 is the least for which that is below one in a million."""

RETRY: Final = 2.0
"""Seconds between them: fourteen are over before L2TP gives a peer up, whose words are fewer."""

_SEQUENCE_LENGTH: Final = 4


class Liveness:
    """What is known of the life of one peer.

    `unanswered` questions were asked since the last sign of life of any kind. `_open` is the
    sequence number of the oldest question that an answer may still come to, `_seen` how many
    packets had come in when we looked last.
    """

    __slots__ = ("_open", "_seen", "_sequence", "unanswered")

    def __init__(self, sequence: int) -> None:
        """Begin with a random sequence number, its high bit clear (section 6.2)."""
        self._sequence = sequence & 0x7FFF_FFFF
        self._open = self._sequence + 1
        self._seen = 0
        self.unanswered = 0

    def has_moved(self, packets: int) -> bool:
        """Say whether packets came in since the last call; `packets` is how many ever did."""
        moved = packets != self._seen
        self._seen = packets
        return moved

    def ask(self, spi: bytes) -> Payload:
        """Return the next question, under the ISAKMP SA that `spi` names."""
        self.unanswered += 1
        return self.question(spi)

    def question(self, spi: bytes) -> Payload:
        """Return a question that need not be answered: it is asked where the peer may not be."""
        self._sequence += 1
        return _payload(NotifyType.R_U_THERE, spi, _sequence_octets(self._sequence))

    def accept(self, notification: Notification) -> bool:
        """Take an R-U-THERE-ACK; False if it answers no open question of ours."""
        sequence = int.from_bytes(notification.data, "big")
        if (
            len(notification.data) != _SEQUENCE_LENGTH
            or not self._open <= sequence <= self._sequence
        ):
            return False
        self._open = sequence + 1
        return True


def answer(spi: bytes, question: Notification) -> Payload:
    """Return the R-U-THERE-ACK to an R-U-THERE."""
    return _payload(NotifyType.R_U_THERE_ACK, spi, question.data)


def _payload(kind: NotifyType, spi: bytes, data: bytes) -> Payload:
    notification = Notification(kind, ProtocolId.ISAKMP, spi, data)
    return Payload(PayloadType.NOTIFY, notification.build())


def _sequence_octets(sequence: int) -> bytes:
    return (sequence & 0xFFFF_FFFF).to_bytes(_SEQUENCE_LENGTH, "big")
