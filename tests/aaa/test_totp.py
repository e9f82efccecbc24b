"""One-time codes, judged by the vectors of RFC 4226 and RFC 6238 and by another implementation."""

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from hypothesis import given
from hypothesis import strategies as st

from aaa.totp import STEP, candidates, hotp

SECRET = b"12345678901234567890"


RFC_4226 = [
    *("755224", "287082", "359152", "969429", "338314"),
    *("254676", "287922", "162583", "399871", "520489"),
]


@pytest.mark.parametrize("counter", range(10))
def test_rfc_4226_appendix_d(counter: int) -> None:
    assert hotp(SECRET, counter) == RFC_4226[counter]


@pytest.mark.parametrize(
    ("time", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_rfc_6238_appendix_b(time: int, code: str) -> None:
    """The RFC prints eight digits; six are the last six of them."""
    assert next(candidates(SECRET, time)) == (time // STEP, code[-6:])


def test_there_is_no_step_before_the_first() -> None:
    assert [step for step, _ in candidates(SECRET, 0.0)] == [0, 1]


@given(st.binary(min_size=16, max_size=64), st.integers(30, 2**35))
def test_another_implementation_agrees(secret: bytes, time: int) -> None:
    judge = TOTP(secret, 6, SHA1(), STEP)
    found = list(candidates(secret, time))
    assert [step for step, _ in found] == [time // STEP + n for n in (0, -1, 1)]
    assert [code for _, code in found] == [
        judge.generate(time + n * STEP).decode() for n in (0, -1, 1)
    ]
