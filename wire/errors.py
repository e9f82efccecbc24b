"""The three ways in which something can be wrong."""


class DecodeError(ValueError):
    """Octets that cannot be decoded: truncated, overlong or contradictory.

    Whoever receives from the network drops what raised it and counts it. Nothing else may
    be raised by a codec, whatever the octets.
    """


class PeerError(Exception):
    """The peer broke a rule of the protocol, and the protocol has a code to tell it so.

    Each protocol package derives its own class, whose `code` is the number that goes on the
    wire (a notify type, a result code, ...). `why` is for the log and says what the peer sent.
    """

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class LocalError(Exception):
    """Our own code called a core in a way that its contract forbids."""
