"""The anti-replay window of an inbound SA: RFC 4303 section 3.4.3 and appendix A2."""

from wire import LocalError

MINIMUM_SIZE = 32
"""RFC 4303 section 3.4.3: a window of at least 32 must be supported, 64 is the default."""


class ReplayWindow:
    """Which of the newest `size` sequence numbers have been received.

    Bit n of the bitmap stands for the number `right_edge - n`. A number is checked before the
    ICV is verified and marked only after, so that a forged packet cannot move the window.
    Number 0, which is never sent, counts as received from the start.
    """

    __slots__ = ("_bitmap", "_mask", "right_edge", "size")

    def __init__(self, size: int = 64) -> None:
        if size < MINIMUM_SIZE:
            raise LocalError(f"a replay window of {size} packets")
        self.size = size
        self.right_edge = 0
        self._bitmap = 1
        self._mask = (1 << size) - 1

    @property
    def left_edge(self) -> int:
        """The lowest number that can still be told from a replay; all below are too old."""
        return max(0, self.right_edge - self.size + 1)

    def check(self, sequence: int) -> bool:
        """Return whether a packet with this number is neither too old nor a replay."""
        age = self.right_edge - sequence
        return age < 0 or (age < self.size and not self._bitmap >> age & 1)

    def update(self, sequence: int) -> None:
        """Mark a number that passed `check()`, once its packet is authenticated."""
        age = self.right_edge - sequence
        if age >= 0:
            self._bitmap |= 1 << age
        elif -age < self.size:
            self._bitmap = (self._bitmap << -age | 1) & self._mask
            self.right_edge = sequence
        else:
            self._bitmap = 1
            self.right_edge = sequence
