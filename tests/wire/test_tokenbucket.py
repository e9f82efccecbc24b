"""The token bucket, whatever is asked of it and when."""

from hypothesis import given
from hypothesis import strategies as st

from wire.tokenbucket import TokenBucket

ASKED = st.lists(st.tuples(st.floats(0, 2), st.integers(1, 65535)), max_size=200)


@given(st.integers(1000, 10**9), st.integers(1500, 10**6), ASKED)
def test_never_more_than_rate_and_burst(
    rate: int, burst: int, asked: list[tuple[float, int]]
) -> None:
    """In every interval, not only from the beginning on."""
    bucket, now = TokenBucket(rate, burst), 1000.0
    admitted: list[tuple[float, int]] = []
    for wait, octets in asked:
        now += wait
        if bucket.admits(octets, now):
            admitted.append((now, octets))
    for first, (start, _) in enumerate(admitted):
        total = 0
        for at, octets in admitted[first:]:
            total += octets
            assert total <= burst + (at - start) * rate / 8 + 1


def test_the_rate_is_reached() -> None:
    bucket = TokenBucket(8_000_000, 20_000)
    admitted = sum(1000 for n in range(20_000) if bucket.admits(1000, 1000 + n / 2000))
    assert 10_000_000 <= admitted <= 10_020_000, "10 s of 1 MB/s, with twice as much offered"


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(8000, 1500)
    assert bucket.admits(1500, 10.0)
    assert not bucket.admits(1, 5.0)
    assert not bucket.admits(1, 10.0)
    assert bucket.admits(1000, 11.0)
