"""Reliable delivery of control messages (RFC 2661 section 5.8 and appendix A).

How this works
--------------
Sending: messages wait in one queue, the oldest unacknowledged one first. Those within the
window are in flight; the window is the congestion window of appendix A, never more than the
peer's Receive Window Size. One timer watches the oldest. When it fires, nothing counts as in
flight any more: the window falls to one message, the oldest is sent again, and the others
follow as acknowledgements open the window. Each further interval is twice as long up to a
cap; after the last retransmission the channel has failed.

Receiving: messages are delivered in order and once. One that is early by less than our own
window waits. Whatever is not a ZLB is acknowledged in the same turn: by the next message that
goes out, or by a ZLB where none does. Nothing is ever acknowledged later (some clients move on
only when a ZLB comes).

Messages are octets here: the AVPs, and the Session ID of the header.
"""

from typing import NamedTuple

from l2tp.config import L2tpConfig
from l2tp.constants import DEFAULT_RECEIVE_WINDOW, MessageType

MODULUS = 1 << 16
HALF = 1 << 15


class Payload(NamedTuple):
    """One control message above the channel. No AVPs make a ZLB."""

    session_id: int
    avps: bytes


class Segment(NamedTuple):
    """One control message to put on the wire."""

    session_id: int
    ns: int
    nr: int
    avps: bytes


class ReliableChannel:
    """One end of a control connection's transport.

    `deadline` is when `handle_timeout` wants to be called, or None. `failed` says that the
    peer did not acknowledge a message in time, or not enough of them: the channel is dead.
    """

    __slots__ = (
        "_ack_due",
        "_acks",
        "_config",
        "_cwnd",
        "_early",
        "_first",
        "_in_flight",
        "_next",
        "_peer_window",
        "_queue",
        "_retransmissions",
        "_sent",
        "_ssthresh",
        "deadline",
        "failed",
    )

    def __init__(self, config: L2tpConfig) -> None:
        self._config = config
        self.deadline: float | None = None
        self.failed = False
        self._queue: list[Payload] = []
        self._first = 0  # Ns of _queue[0]
        self._in_flight = 0  # of _queue, since the last retransmission
        self._sent = 0  # of _queue, ever: what the peer may acknowledge
        self._retransmissions = 0  # of _queue[0]
        self._peer_window = DEFAULT_RECEIVE_WINDOW
        self._cwnd = 1
        self._ssthresh = DEFAULT_RECEIVE_WINDOW
        self._acks = 0  # since _cwnd grew, in congestion avoidance
        self._next = 0  # the Ns that we expect: our Nr
        self._early: dict[int, Payload] | None = None
        self._ack_due = False

    @property
    def drained(self) -> bool:
        """Whether the peer has acknowledged everything."""
        return not self._queue

    @property
    def oldest_type(self) -> MessageType:
        """The type of the message that the peer has to acknowledge first."""
        return MessageType(int.from_bytes(self._queue[0].avps[6:8], "big"))

    @property
    def retransmissions(self) -> int:
        """How often the oldest message was sent again."""
        return self._retransmissions

    def set_peer_window(self, size: int) -> None:
        """Take over the peer's Receive Window Size, as soon as it is known."""
        self._peer_window = size
        self._ssthresh = size

    def send(self, payload: Payload) -> None:
        """Queue a message; `segments_to_send` says when it goes out."""
        if len(self._queue) >= self._config.send_queue:
            self.failed = True
            return
        self._queue.append(payload)

    def discard_unsent(self) -> None:
        """Forget the messages that never went out: a StopCCN makes them pointless."""
        del self._queue[self._sent :]

    def discard_all(self) -> None:
        """Forget all messages: the peer that sent StopCCN takes none any more."""
        self._first = (self._first + self._sent) % MODULUS
        self._queue.clear()
        self._sent = self._in_flight = 0
        self.deadline = None

    def receive(self, ns: int, nr: int, payload: Payload, now: float) -> list[Payload] | None:
        """Take in a message and return those that it completes, in order.

        None says that its Nr acknowledges what was never sent: the message is to be ignored.
        """
        if not self._acknowledge(nr, now):
            return None
        if not payload.avps:
            return []
        self._ack_due = True
        ahead = (ns - self._next) % MODULUS
        if ahead >= self._config.receive_window:
            return []  # a duplicate, or beyond the window
        if ahead:
            self._early = self._early or {}
            self._early[ns] = payload
            return []
        delivered = [payload]
        self._next = (self._next + 1) % MODULUS
        while self._early and self._next in self._early:
            delivered.append(self._early.pop(self._next))
            self._next = (self._next + 1) % MODULUS
        return delivered

    def handle_timeout(self, now: float) -> None:
        """Begin a retransmission if it is due, or give up."""
        if self.deadline is None or now < self.deadline:
            return
        self.deadline = None
        if self._retransmissions == self._config.max_retransmissions:
            self.failed = True
            return
        self._retransmissions += 1
        self._ssthresh = max(self._cwnd // 2, 1)
        self._cwnd = 1
        self._acks = 0
        self._in_flight = 0

    def segments_to_send(self, now: float) -> list[Segment]:
        """Return what goes out now: new messages, retransmissions, or else a due ZLB."""
        window = min(self._cwnd, self._peer_window, len(self._queue))
        segments = [
            Segment(payload.session_id, (self._first + turn) % MODULUS, self._next, payload.avps)
            for turn, payload in enumerate(self._queue[self._in_flight : window], self._in_flight)
        ]
        self._in_flight = max(self._in_flight, window)
        self._sent = max(self._sent, self._in_flight)
        if segments and self.deadline is None:
            self.deadline = now + self._interval()
        if self._ack_due and not segments:
            following = (self._first + self._sent) % MODULUS
            segments.append(Segment(0, following, self._next, b""))
        self._ack_due = False
        return segments

    def _interval(self) -> float:
        doubled = self._config.retransmit_interval * (1 << self._retransmissions)
        return min(doubled, self._config.retransmit_cap)

    def _acknowledge(self, nr: int, now: float) -> bool:
        acknowledged = (nr - self._first) % MODULUS
        if acknowledged > self._sent:
            return acknowledged >= HALF  # an older number than the last is no harm
        if not acknowledged:
            return True
        del self._queue[:acknowledged]
        self._first = nr
        self._sent -= acknowledged
        self._in_flight = max(self._in_flight - acknowledged, 0)
        self._retransmissions = 0
        self.deadline = now + self._interval() if self._in_flight else None
        self._open_window()
        return True

    def _open_window(self) -> None:
        """Slow start below SSTHRESH, congestion avoidance from there on (appendix A)."""
        if self._cwnd >= self._peer_window:
            return
        if self._cwnd < self._ssthresh:
            self._cwnd += 1
            return
        self._acks += 1
        if self._acks >= self._cwnd:
            self._cwnd += 1
            self._acks = 0
