"""So many octets a second and no more, and some at once."""


class TokenBucket:
    """Admits octets at a rate, and after a rest up to a burst at once.

    `rate` is in bits a second, the burst in octets.
    """

    __slots__ = ("_at", "_burst", "_octets", "rate")

    def __init__(self, rate: int, burst: float) -> None:
        self.rate = rate
        self._burst = self._octets = burst
        self._at = 0.0

    def admits(self, octets: int, now: float) -> bool:
        """Take octets out of the bucket; False if it does not hold as many.

        A time before that of the last call counts as that.
        """
        if now > self._at:
            gained = (now - self._at) * self.rate / 8
            self._octets = min(self._burst, self._octets + gained)
            self._at = now
        if octets > self._octets:
            return False
        self._octets -= octets
        return True
