"""IPv6 prefixes: they are leased as addresses are, and never stand in the way of these."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Network

import pytest

from aaa import (
    Aaa,
    Accepted,
    AddressRange,
    ClientFacts,
    Decided,
    Department,
    Directory,
    NoAddress,
    Pool,
    User,
)
from aaa.leases import Prefixes
from wire import LocalError

POOL = Pool((AddressRange(IPv4Address("10.0.0.2"), IPv4Address("10.0.0.99")),))
STAFF = Department(
    "default", (), POOL, IPv4Address("10.0.0.1"), pool6=IPv6Network("2001:db8:1::/62")
)
BOB, EVE, JIM, ANN = (User(name, "pw") for name in ("bob", "eve", "jim", "ann"))
OWN = IPv6Network("2001:db8:1:2::/64")
BOSS = User("boss", "pw", prefix6=OWN)


class Right:
    """A proof that is always right."""

    method = "PAP"

    def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
        return b""


def directory(*users: User, department: Department = STAFF) -> Directory:
    return Directory({"default": department}, {user.name: user for user in users})


def prefix(prefixes: Prefixes, session: str, user: User) -> str:
    return str(prefixes.lease(session, user, STAFF))


def logged_in(aaa: Aaa, session: str, name: str, host: str = "198.51.100.7") -> Accepted:
    aaa.request(session, 1, name, Right(), ClientFacts(host, "laptop"))
    event = aaa.next_event()
    assert isinstance(event, Decided)
    assert isinstance(event.decision, Accepted)
    return event.decision


def test_the_first_prefix_is_the_servers_and_the_others_come_in_order() -> None:
    prefixes = Prefixes(directory(BOB))
    assert prefix(prefixes, "s1", BOB) == "2001:db8:1:1::/64"
    assert prefix(prefixes, "s2", EVE) == "2001:db8:1:2::/64"
    assert prefix(prefixes, "s1", BOB) == "2001:db8:1:1::/64"
    assert prefix(prefixes, "s3", JIM) == "2001:db8:1:3::/64"
    with pytest.raises(NoAddress, match=r"all prefixes of pool6 .* enlarge departments.default"):
        prefixes.lease("s4", ANN, STAFF)


def test_a_user_gets_the_last_prefix_again() -> None:
    prefixes = Prefixes(directory(BOB))
    assert prefix(prefixes, "s1", BOB) == "2001:db8:1:1::/64"
    prefixes.release("s1")
    assert prefix(prefixes, "s2", EVE) == "2001:db8:1:2::/64"
    assert prefix(prefixes, "s3", BOB) == "2001:db8:1:1::/64"


def test_a_fixed_prefix_is_for_its_user_alone() -> None:
    prefixes = Prefixes(directory(BOB, BOSS))
    assert prefix(prefixes, "s1", BOB) == "2001:db8:1:1::/64"
    assert prefix(prefixes, "s2", EVE) == "2001:db8:1:3::/64"
    assert prefix(prefixes, "s3", BOSS) == str(OWN)
    with pytest.raises(NoAddress, match="still held by another session"):
        prefixes.lease("s4", BOSS, STAFF)


def test_the_largest_pool_costs_nothing() -> None:
    huge = replace(STAFF, pool6=IPv6Network("2000::/3"))
    prefixes = Prefixes(directory(BOB, department=huge))
    assert str(prefixes.lease("s1", BOB, huge)) == "2000:0:0:1::/64"


def test_a_session_with_no_prefix_keeps_its_address() -> None:
    aaa = Aaa(directory(BOB, BOSS))
    for number in range(3):
        logged_in(aaa, f"s{number}", "boss", f"198.51.100.{number}")
        assert aaa.lease(f"s{number}").address in POOL
    assert aaa.lease_prefix("s0") == OWN
    with pytest.raises(NoAddress):
        aaa.lease_prefix("s1")
    aaa.release("s0")
    assert aaa.lease_prefix("s2") == OWN


def test_a_department_without_ipv6() -> None:
    aaa = Aaa(directory(BOB, department=replace(STAFF, pool6=None)))
    logged_in(aaa, "s1", "bob")
    assert aaa.lease_prefix("s1") is None
    with pytest.raises(LocalError):
        aaa.lease_prefix("s2")


def test_a_device_that_comes_back_takes_its_prefix_along() -> None:
    aaa = Aaa(directory(BOB))
    logged_in(aaa, "s1", "bob")
    aaa.lease("s1")
    before = aaa.lease_prefix("s1")
    assert logged_in(aaa, "s2", "bob").replaces == "s1"
    aaa.lease("s2")
    assert aaa.lease_prefix("s2") == before
    aaa.release("s1")
    assert aaa.lease_prefix("s2") == before


@pytest.mark.parametrize(
    ("pool6", "users", "stays"),
    [
        ("2001:db8:1::/62", (BOB, EVE), True),
        ("2001:db8:1::/48", (BOB, EVE), True),
        ("2001:db8:1::/62", (BOB, replace(EVE, prefix6=IPv6Network("2001:db8:1:1::/64"))), False),
        ("2001:db8:1::/62", (replace(BOB, prefix6=IPv6Network("2001:db8:1:3::/64")), EVE), False),
        ("2001:db8:1:2::/63", (BOB, EVE), False),
        ("2001:db8:2::/62", (BOB, EVE), False),
        (None, (BOB, EVE), False),
    ],
)
def test_a_reload_ends_who_has_another_prefix_now(
    pool6: str | None, users: tuple[User, ...], stays: bool
) -> None:
    aaa = Aaa(directory(BOB, EVE))
    logged_in(aaa, "s1", "bob")
    aaa.lease("s1")
    assert str(aaa.lease_prefix("s1")) == "2001:db8:1:1::/64"
    changed = replace(STAFF, pool6=IPv6Network(pool6) if pool6 else None)
    revoked = aaa.replace(directory(*users, department=changed))
    assert [one.why for one in revoked] == (
        [] if stays else ["the department's or the user's IPv6 prefix was changed"]
    )
