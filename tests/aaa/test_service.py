"""Who may in: the login-name rule, refusals and their hints, limits, reload."""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address

import pytest

from aaa import (
    Aaa,
    Accepted,
    AddressRange,
    ClientFacts,
    Decided,
    Department,
    Directory,
    MsChapError,
    NoAddress,
    Pool,
    Reason,
    Rejected,
    User,
)
from wire import LocalError


@dataclass(frozen=True)
class FakeProof:
    """Knows the secret in clear; counts nothing and encrypts nothing."""

    password: str
    method: str = "MS-CHAPv2"

    def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
        if self.method == "CHAP-MD5" and password is None:
            return None
        good = self.password == password or self.password.encode() == nt_hash
        return b"S=reply" if good else None


def a_department(name: str, domains: tuple[str, ...], third: int, limit: int | None) -> Department:
    first, last = (IPv4Address(f"172.16.{third}.{host}") for host in (2, 100))
    gateway = IPv4Address(f"172.16.{third}.1")
    return Department(
        name, domains, Pool((AddressRange(first, last),)), gateway, max_sessions_per_user=limit
    )


SALES = a_department("sales", ("sales.example.com", "sales"), 1, 2)
DEFAULT = a_department("default", (), 9, None)
USERS = (
    User("l2tpuser", password="pw"),
    User("hb@sales.example.com", nt_hash=b"hash", address=IPv4Address("172.16.1.51")),
    User("bob@sales", password="pw"),
    User("gone", password="pw", disabled=True),
)
LAPTOP = ClientFacts("198.51.100.7", "LAPTOP")
PHONE = ClientFacts("203.0.113.9", "PHONE")


def directory(*users: User, departments: tuple[Department, ...] = (SALES, DEFAULT)) -> Directory:
    return Directory({d.name: d for d in departments}, {u.name: u for u in users or USERS})


def log_in(
    aaa: Aaa,
    session: str,
    login: str,
    password: str = "pw",
    client: ClientFacts = LAPTOP,
    method: str = "MS-CHAPv2",
) -> Accepted | Rejected:
    aaa.request(session, 7, login, FakeProof(password, method), client)
    event = aaa.next_event()
    assert isinstance(event, Decided)
    assert (event.session, event.request) == (session, 7)
    assert aaa.next_event() is None
    return event.decision


def rejected(
    login: str, password: str = "pw", method: str = "MS-CHAPv2", who: Directory | None = None
) -> Rejected:
    decision = log_in(Aaa(who or directory()), "s", login, password, method=method)
    assert isinstance(decision, Rejected)
    return decision


def accepted(aaa: Aaa, session: str, login: str, client: ClientFacts = LAPTOP) -> Accepted:
    decision = log_in(aaa, session, login, client=client)
    assert isinstance(decision, Accepted)
    return decision


@pytest.mark.parametrize(
    ("login", "department"),
    [
        ("l2tpuser", "default"),
        ("bob@sales", "sales"),
        ("LAPTOP\\l2tpuser", "default"),
        ("SALES\\bob@sales", "sales"),
    ],
)
def test_the_configured_name_logs_in(login: str, department: str) -> None:
    decision = accepted(Aaa(directory()), "s", login)
    assert decision.department.name == department
    assert decision.reply == b"S=reply"
    assert decision.replaces is None


@pytest.mark.parametrize(
    ("login", "reason", "hint"),
    [
        ("nobody", Reason.UNKNOWN_USER, "no user is configured as 'nobody': add it, then reload"),
        ("", Reason.UNKNOWN_USER, "no user is configured as '': add it, then reload"),
        (
            "L2tpUser",
            Reason.UNKNOWN_USER,
            "the user is configured as 'l2tpuser': letter case counts",
        ),
        (
            "BOB@sales",
            Reason.UNKNOWN_USER,
            "the user is configured as 'bob@sales': letter case counts",
        ),
        (
            "bob",
            Reason.UNKNOWN_USER,
            "the user is configured as 'bob@sales': log in with the suffix @sales",
        ),
        (
            "l2tpuser@sales",
            Reason.UNKNOWN_USER,
            "the user is configured as 'l2tpuser': log in without a suffix",
        ),
        (
            "bob@sales.example.com",
            Reason.UNKNOWN_USER,
            "the user is configured as 'bob@sales': log in with the suffix @sales",
        ),
        ("zoe@lab", Reason.UNKNOWN_DOMAIN, "no department has the domain 'lab'"),
        (
            "l2tpuser@lab",
            Reason.UNKNOWN_DOMAIN,
            "no department has the domain 'lab'; the user is configured as 'l2tpuser': log in with "
            "that name",
        ),
        ("a\nb", Reason.UNKNOWN_USER, "no user is configured as 'a\\nb': add it, then reload"),
    ],
)
def test_the_hint_for_an_unknown_name_says_the_likely_mistake(
    login: str, reason: Reason, hint: str
) -> None:
    decision = rejected(login)
    assert (decision.reason, decision.hint) == (reason, hint)


def test_names_without_a_suffix_need_the_default_department() -> None:
    who = directory(USERS[2], departments=(SALES,))
    decision = rejected("zoe", who=who)
    assert decision.reason is Reason.UNKNOWN_DOMAIN
    assert decision.hint == "there is no department 'default' for names without a suffix"


def test_wrong_password() -> None:
    decision = rejected("l2tpuser", "guess")
    assert decision.reason is Reason.WRONG_PASSWORD
    assert decision.hint == (
        "'l2tpuser' exists, but the password was wrong: type it anew on the client"
    )


def test_an_nt_hash_serves_ms_chapv2_but_not_chap_md5() -> None:
    assert isinstance(log_in(Aaa(directory()), "s", "hb@sales.example.com", "hash"), Accepted)
    decision = rejected("hb@sales.example.com", "hash", "CHAP-MD5")
    assert decision.reason is Reason.METHOD_NOT_POSSIBLE
    assert decision.hint == (
        "'hb@sales.example.com' has only an nt_hash, which CHAP-MD5 cannot use: "
        "configure a password, or let the client log in by MS-CHAPv2"
    )


def test_only_who_knows_the_password_learns_that_the_account_is_disabled() -> None:
    decision = rejected("gone")
    assert decision.reason is Reason.DISABLED
    assert decision.ms_chap_error is MsChapError.ACCOUNT_DISABLED
    assert rejected("gone", "guess").ms_chap_error is MsChapError.AUTHENTICATION_FAILURE


def test_a_stranger_cannot_tell_who_exists() -> None:
    answers = {
        (decision.message, decision.ms_chap_error)
        for decision in (
            rejected("nobody"),
            rejected("zoe@lab"),
            rejected("l2tpuser", "guess"),
            rejected("gone", "guess"),
            rejected("hb@sales.example.com", "hash", "CHAP-MD5"),
        )
    }
    assert answers == {("authentication failed", MsChapError.AUTHENTICATION_FAILURE)}


def test_the_proof_of_an_unknown_user_is_verified_too() -> None:
    class Counting(FakeProof):
        verified = 0

        def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
            Counting.verified += 1
            return b"even a proof of anything"

    aaa = Aaa(directory())
    aaa.request("s", 1, "nobody", Counting("x"), LAPTOP)
    event = aaa.next_event()
    assert event is not None
    assert isinstance(event.decision, Rejected)
    assert Counting.verified == 1


def test_the_limit_of_sessions_per_user() -> None:
    aaa = Aaa(directory())
    accepted(aaa, "s1", "bob@sales", LAPTOP)
    accepted(aaa, "s2", "bob@sales", PHONE)
    decision = log_in(aaa, "s3", "bob@sales", client=ClientFacts("192.0.2.1", "TABLET"))
    assert isinstance(decision, Rejected)
    assert decision.reason is Reason.TOO_MANY_SESSIONS
    assert decision.ms_chap_error is MsChapError.NO_DIALIN_PERMISSION
    assert decision.hint == (
        "'bob@sales' has 2 already, from 198.51.100.7, 203.0.113.9: "
        "disconnect one, or raise max_sessions_per_user of the department"
    )
    aaa.release("s1")
    accepted(aaa, "s3", "bob@sales")


def test_a_session_that_asks_again_does_not_count_twice() -> None:
    aaa = Aaa(directory())
    accepted(aaa, "s1", "bob@sales")
    accepted(aaa, "s2", "bob@sales", PHONE)
    address = aaa.lease("s1").address
    assert accepted(aaa, "s1", "bob@sales").replaces is None
    assert aaa.lease("s1").address == address


def test_a_session_that_becomes_another_user_loses_its_place_and_address() -> None:
    aaa = Aaa(directory())
    accepted(aaa, "s1", "bob@sales")
    assert str(aaa.lease("s1").address) == "172.16.1.2"
    accepted(aaa, "s1", "l2tpuser")
    assert str(aaa.lease("s1").address) == "172.16.9.2"
    accepted(aaa, "s2", "bob@sales")
    assert str(aaa.lease("s2").address) == "172.16.1.2"


def test_at_the_limit_the_same_device_takes_its_place_and_address_back() -> None:
    aaa = Aaa(directory())
    accepted(aaa, "old", "bob@sales", LAPTOP)
    accepted(aaa, "phone", "bob@sales", PHONE)
    address = aaa.lease("old").address
    elsewhere = replace(LAPTOP, host="192.0.2.77")
    assert accepted(aaa, "new", "bob@sales", elsewhere).replaces == "old"
    assert aaa.lease("new").address == address
    aaa.release("old")
    assert aaa.lease("new").address == address
    with pytest.raises(LocalError):
        aaa.lease("old")


def test_a_device_that_lost_power_takes_its_place_back_whatever_the_limit() -> None:
    aaa = Aaa(directory())
    first = ClientFacts("198.51.100.7", "PC", "192.168.1.2")
    accepted(aaa, "old", "l2tpuser", first)
    address = aaa.lease("old").address
    for neighbour in (replace(first, identity="192.168.1.3"), replace(first, host_name="MAC")):
        assert accepted(aaa, str(neighbour), "l2tpuser", neighbour).replaces is None
    assert accepted(aaa, "new", "l2tpuser", first).replaces == "old"
    assert aaa.lease("new").address == address


def test_a_client_without_a_host_name_replaces_nobody() -> None:
    one = replace(SALES, max_sessions_per_user=1)
    aaa = Aaa(directory(departments=(one, DEFAULT)))
    nameless = ClientFacts("192.0.2.1")
    accepted(aaa, "s1", "bob@sales", nameless)
    assert isinstance(log_in(aaa, "s2", "bob@sales", client=nameless), Rejected)


def test_a_fixed_address_means_one_session() -> None:
    aaa = Aaa(directory())
    assert isinstance(log_in(aaa, "s1", "hb@sales.example.com", "hash"), Accepted)
    lease = aaa.lease("s1")
    assert (str(lease.address), lease.fixed) == ("172.16.1.51", True)
    decision = log_in(aaa, "s2", "hb@sales.example.com", "hash", PHONE)
    assert isinstance(decision, Rejected)
    assert decision.hint == (
        "'hb@sales.example.com' has 1 already, from 198.51.100.7: "
        "a user with a fixed address has one session at a time"
    )
    assert isinstance(log_in(aaa, "s3", "hb@sales.example.com", "hash", LAPTOP), Accepted)
    assert str(aaa.lease("s3").address) == "172.16.1.51"


def test_a_lease_needs_an_accepted_session() -> None:
    aaa = Aaa(directory())
    log_in(aaa, "s1", "l2tpuser", "guess")
    with pytest.raises(LocalError):
        aaa.lease("s1")
    aaa.release("s1")


BOB = USERS[2]


@pytest.mark.parametrize(
    ("users", "departments", "why"),
    [
        ((USERS[0],), (SALES, DEFAULT), "the user was removed"),
        ((replace(BOB, disabled=True),), (SALES, DEFAULT), "the user was disabled"),
        ((BOB,), (DEFAULT,), "the user was removed"),
        (
            (BOB,),
            (replace(SALES, domains=()), replace(DEFAULT, domains=("sales",))),
            "the user's department is default now",
        ),
        (
            (BOB,),
            (replace(SALES, gateway=IPv4Address("172.16.1.254")), DEFAULT),
            "the department's gateway was changed",
        ),
        (
            (BOB,),
            (replace(SALES, interface="lns-sales"), DEFAULT),
            "the department's interface was changed",
        ),
        (
            (BOB,),
            (replace(SALES, pool=Pool(SALES.pool.ranges[:0])), DEFAULT),
            "the address is not in the department's pool any more",
        ),
        (
            (replace(BOB, address=IPv4Address("172.16.1.3")),),
            (SALES, DEFAULT),
            "the user's fixed address was changed",
        ),
        (
            (BOB, User("eve@sales", "pw", address=IPv4Address("172.16.1.2"))),
            (SALES, DEFAULT),
            "the address belongs to another user now",
        ),
    ],
)
def test_a_new_directory_revokes_what_it_does_not_allow(
    users: tuple[User, ...], departments: tuple[Department, ...], why: str
) -> None:
    aaa = Aaa(directory())
    accepted(aaa, "s1", "bob@sales")
    assert str(aaa.lease("s1").address) == "172.16.1.2"
    revoked = aaa.replace(directory(*users, departments=departments))
    assert [(r.session, r.user, r.why) for r in revoked] == [("s1", "bob@sales", why)]
    with pytest.raises(NoAddress, match=why):
        aaa.lease("s1")
    aaa.release("s1")
    assert aaa.replace(directory(*users, departments=departments)) == []


def test_a_new_directory_revokes_nothing_for_a_new_password_limit_or_dns() -> None:
    aaa = Aaa(directory())
    accepted(aaa, "s1", "bob@sales")
    aaa.lease("s1")
    other = replace(SALES, max_sessions_per_user=1, dns=(IPv4Address("172.16.1.1"),))
    changed = directory(replace(BOB, password="new"), departments=(other, DEFAULT))
    assert aaa.replace(changed) == []
    assert aaa.directory is changed
    assert isinstance(log_in(aaa, "s2", "bob@sales", "pw"), Rejected)


def test_a_revoked_address_is_not_handed_to_the_device_that_comes_back() -> None:
    one = replace(SALES, max_sessions_per_user=1)
    aaa = Aaa(directory(departments=(one, DEFAULT)))
    accepted(aaa, "old", "bob@sales")
    assert str(aaa.lease("old").address) == "172.16.1.2"
    moved = replace(one, pool=Pool((AddressRange(*(IPv4Address("172.16.1.200"),) * 2),)))
    assert len(aaa.replace(directory(departments=(moved, DEFAULT)))) == 1
    assert accepted(aaa, "new", "bob@sales").replaces == "old"
    assert str(aaa.lease("new").address) == "172.16.1.200"


def test_secrets_are_not_in_the_repr() -> None:
    assert "pw" not in repr(USERS[0])
    assert "hash" not in repr(USERS[1]).replace("nt_hash", "")
