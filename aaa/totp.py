"""One-time codes by time (RFC 6238), typed straight after the password.

Code and password travel as one text, so that they work with every method: whoever verifies a
proof tries the password with each code that is right at the moment.
"""

import hmac
from collections.abc import Iterator

STEP = 30
"""Seconds for which a code is shown (RFC 6238 section 5.2)."""

DIGITS = 6

TOLERANCE = 1
"""Steps by which the two clocks may differ, in both directions (RFC 6238 section 6)."""


def hotp(secret: bytes, counter: int) -> str:
    """Return the code of RFC 4226 section 5.3 with SHA-1, which all apps have."""
    digest = hmac.digest(secret, counter.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def candidates(secret: bytes, now: float) -> Iterator[tuple[int, str]]:
    """Yield the steps around `now` (seconds since 1970) and their codes, the likeliest first."""
    current = int(now) // STEP
    for step in sorted(
        range(max(0, current - TOLERANCE), current + TOLERANCE + 1),
        key=lambda step: abs(step - current),
    ):
        yield step, hotp(secret, step)
