"""The anti-replay window of an inbound SA: RFC 4303 section 3.4.3."""

from array import array

from wire import LocalError

MINIMUM_SIZE = 32
"""RFC 4303 section 3.4.3: a window of at least 32 must be supported, 64 is the default."""


class ReplayWindow:
    """Which of the newest `size` sequence numbers have been received.

    A number is checked before the ICV is verified and marked only after, so that a forged
    packet cannot move the window. Number 0, which is never sent, counts as received.

    There is one place for each number modulo the size, and it holds the newest one received:
    so nothing needs to be shifted or cleared when the window moves.
    """

    __slots__ = ("_received", "right_edge", "size")

    def __init__(self, size: int = 64) -> None:
        if size < MINIMUM_SIZE:
            raise LocalError(f"a replay window of {size} packets")
        self.size = size
        self.right_edge = 0
        self._received = array("I", [0]) * size

    @property
    def left_edge(self) -> int:
        """The lowest number that can still be told from a replay; all below are too old."""
        return max(0, self.right_edge - self.size + 1)

    def check(self, sequence: int) -> bool:
        """Return whether a packet with this number is neither too old nor a replay."""
        return sequence > self.right_edge or (
            sequence > self.right_edge - self.size
            and self._received[sequence % self.size] != sequence
        )

    def update(self, sequence: int) -> None:
        """Mark a number that passed `check()`, once its packet is authenticated."""
        self._received[sequence % self.size] = sequence
        if sequence > self.right_edge:
            self.right_edge = sequence
