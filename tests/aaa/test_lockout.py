"""What wrong passwords lead to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.lockout import (
    ADDRESS,
    DELAY,
    DEPARTMENT,
    MOST,
    USER_ANYWHERE,
    Limits,
    Lock,
    Lockout,
)

LIMITS = Limits(5, 600.0, 900.0)
HOME, OFFICE = "198.51.100.7", "203.0.113.9"


def wrong(
    lockout: Lockout, times: int, user: str = "bob", host: str = HOME, now: float = 0.0
) -> None:
    for _ in range(times):
        lockout.failed(user, host, "sales", now)


def test_a_user_is_locked_where_the_wrong_passwords_came_from_and_not_elsewhere() -> None:
    lockout = Lockout(LIMITS)
    wrong(lockout, 4)
    assert lockout.locked("bob", HOME, 0.0) is None
    assert lockout.failed("bob", HOME, "sales", 1.0) == Lock("bob", HOME, 901.0)
    assert lockout.locked("bob", HOME, 900.9) == Lock("bob", HOME, 901.0)
    assert lockout.locked("bob", OFFICE, 1.0) is None
    assert lockout.locked("ann", HOME, 1.0) is None
    assert lockout.locks(1.0) == [Lock("bob", HOME, 901.0)]
    assert lockout.locked("bob", HOME, 901.0) is None
    assert lockout.locks(901.0) == []


def test_a_user_is_locked_everywhere_after_wrong_passwords_from_many_places() -> None:
    lockout = Lockout(LIMITS)
    for number in range(USER_ANYWHERE * LIMITS.attempts):
        assert lockout.locked("bob", OFFICE, 0.0) is None
        wrong(lockout, 1, host=f"192.0.2.{number}")
    assert lockout.locked("bob", OFFICE, 0.0) == Lock("bob", None, 900.0)


def test_an_address_that_tries_many_names_is_slow_and_then_locked() -> None:
    lockout = Lockout(LIMITS)
    for number in range(ADDRESS * LIMITS.attempts):
        assert lockout.locked("ann", HOME, 0.0) is None
        assert lockout.delay(HOME, "hr", 0.0) == (DELAY if number >= LIMITS.attempts else 0.0)
        wrong(lockout, 1, f"user{number}")
    assert lockout.locked("ann", HOME, 0.0) == Lock(None, HOME, 900.0)
    assert lockout.locked("ann", OFFICE, 0.0) is None


def test_a_host_with_an_ipv6_prefix_of_its_own_has_one_address() -> None:
    lockout = Lockout(LIMITS)
    for number in range(LIMITS.attempts):
        wrong(lockout, 1, host=f"2001:db8:1:2::{number}")
    assert lockout.locked("bob", "2001:db8:1:2:a::", 0.0) == Lock("bob", "2001:db8:1:2::/64", 900.0)
    assert lockout.delay("2001:db8:1:2:b::", "hr", 0.0) == DELAY
    assert lockout.locked("bob", "2001:db8:1:3::1", 0.0) is None
    lockout.succeeded("bob", "2001:db8:1:2:c::")
    assert lockout.locked("bob", "2001:db8:1:2:a::", 0.0) is None


def test_a_department_under_attack_answers_slowly_and_locks_nobody() -> None:
    lockout = Lockout(LIMITS)
    for number in range(DEPARTMENT * LIMITS.attempts):
        assert lockout.delay(OFFICE, "sales", 0.0) == 0.0
        wrong(lockout, 1, f"user{number}", f"10.0.{number // 3}.1")
    assert lockout.delay(OFFICE, "sales", 0.0) == DELAY
    assert lockout.delay(OFFICE, "hr", 0.0) == 0.0
    assert lockout.delay(OFFICE, "sales", 600.0) == 0.0
    assert lockout.locks(0.0) == []


def test_wrong_passwords_are_forgotten_with_time_and_by_a_login() -> None:
    lockout = Lockout(LIMITS)
    wrong(lockout, 4)
    wrong(lockout, 4, now=600.0)
    assert lockout.locked("bob", HOME, 600.0) is None
    lockout.succeeded("bob", HOME)
    wrong(lockout, 4, now=601.0)
    assert lockout.locked("bob", HOME, 601.0) is None


def test_a_login_does_not_free_the_address_of_others() -> None:
    lockout = Lockout(LIMITS)
    for number in range(ADDRESS * LIMITS.attempts - 1):
        wrong(lockout, 1, f"user{number}")
        lockout.succeeded("insider", HOME)
    wrong(lockout, 1, "last")
    assert lockout.locked("insider", HOME, 0.0) == Lock(None, HOME, 900.0)


def test_unlock() -> None:
    lockout = Lockout(LIMITS)
    wrong(lockout, 5)
    wrong(lockout, 5, "ann")
    assert lockout.unlock("bob", 1.0) == [Lock("bob", HOME, 900.0)]
    assert lockout.locked("bob", HOME, 1.0) is None
    assert lockout.locked("ann", HOME, 1.0) is not None
    assert lockout.unlock("bob", 1.0) == []
    for number in range(ADDRESS * LIMITS.attempts):
        wrong(lockout, 1, f"user{number}")
    assert lockout.unlock("user3", 1.0) == [Lock(None, HOME, 900.0)]


def test_without_limits_nothing_happens() -> None:
    lockout = Lockout(None)
    wrong(lockout, 1000)
    assert lockout.locked("bob", HOME, 0.0) is None
    assert lockout.delay(HOME, "sales", 0.0) == 0.0


def test_a_clock_that_is_set_back_does_not_prolong_a_lock() -> None:
    lockout = Lockout(LIMITS)
    wrong(lockout, 5, now=1e9)
    assert lockout.locked("bob", HOME, 1e9 - 1e6) is None
    wrong(lockout, 4, now=1e9 - 1e6)
    assert lockout.locked("bob", HOME, 1e9 - 1e6) is None


@pytest.mark.parametrize("odd", ["", "None", "\0"])
def test_odd_names_are_names(odd: str) -> None:
    lockout = Lockout(LIMITS)
    wrong(lockout, 5, odd)
    assert lockout.locked(odd, HOME, 0.0) == Lock(odd, HOME, 900.0)
    assert lockout.locked("bob", HOME, 0.0) is None


def test_the_tables_are_bounded() -> None:
    lockout = Lockout(LIMITS)
    for number in range(2 * MOST):
        lockout.failed(f"u{number}", f"h{number}", f"d{number}", 0.0)
    assert len(lockout._logins) <= MOST
    assert len(lockout._departments) <= MOST


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([HOME, OFFICE]), st.floats(0, 400)),
        max_size=60,
    )
)
def test_every_lock_ends(guesses: list[tuple[str, str, float]]) -> None:
    """As AAA uses it: what is locked is not counted."""
    lockout, now = Lockout(LIMITS), 1e9
    for user, host, pause in guesses:
        now += pause
        lock = lockout.locked(user, host, now)
        if lock is None:
            lock = lockout.failed(user, host, "d", now)
            assert lock is None or lock.until == now + LIMITS.duration
        else:
            assert now < lock.until <= now + LIMITS.duration
    assert lockout.locks(now + LIMITS.duration) == []
