"""The two kinds of end that a tunnel has."""

from enum import Enum


class Role(Enum):
    """Which half of RFC 2661 section 7 an end plays."""

    LNS = "LNS"
    LAC = "LAC"
