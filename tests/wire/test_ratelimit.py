"""How often something is admitted."""

from wire import RateLimit


def test_each_host_has_its_share_of_a_period() -> None:
    limit = RateLimit(2, 3, 10.0)
    assert limit.end is None
    assert [limit.admits("one", 5.0 + n) for n in range(4)] == [True, True, False, False]
    assert limit.end == 15.0
    assert limit.admits("two", 14.9)
    assert not limit.admits("three", 14.9), "all of them have had theirs"
    assert len(limit) == 2
    assert limit.admits("one", 15.0)
    assert (len(limit), limit.end) == (1, 25.0)
    limit.reset()
    assert (len(limit), limit.end) == (0, None)


def test_the_table_does_not_grow() -> None:
    limit = RateLimit(1, 50, 10.0)
    assert sum(limit.admits(f"host {n}", 0.0) for n in range(10_000)) == 50
    assert len(limit) == 50
