"""The ground of all codecs: bounds-checked reading and writing, errors, deadlines.

Knows no protocol. Everything here is pure: no clock, no entropy, no I/O.
"""

from wire.deadlines import Deadlines
from wire.errors import DecodeError, LocalError, PeerError
from wire.numbers import OpenEnum
from wire.ratelimit import RateLimit, source_of
from wire.reader import Reader
from wire.types import Entropy
from wire.writer import Writer

__all__ = [
    "Deadlines",
    "DecodeError",
    "Entropy",
    "LocalError",
    "OpenEnum",
    "PeerError",
    "RateLimit",
    "Reader",
    "Writer",
    "source_of",
]
