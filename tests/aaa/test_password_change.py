"""A user whose password must change: who is told, what is stored, and when the login goes on."""

from dataclasses import dataclass, replace
from datetime import date
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
    Limits,
    MsChapError,
    PasswordChangeRequested,
    Pool,
    Reason,
    Rejected,
    User,
)
from aaa.decisions import Proof

DEFAULT = Department(
    "default",
    (),
    Pool((AddressRange(IPv4Address("172.16.9.2"), IPv4Address("172.16.9.9")),)),
    IPv4Address("172.16.9.1"),
)
BOB = User("bob", password="old", must_change_password=True)
CLIENT = ClientFacts("198.51.100.7")


@dataclass(frozen=True)
class Login:
    """Knows the old password in clear."""

    password: str = "old"
    method: str = "MS-CHAPv2"

    def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
        return b"S=old" if password == self.password else None


@dataclass(frozen=True)
class Change(Login):
    """And the new one."""

    new: str = "new"

    def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
        return b"S=new" if password == self.password else None

    def new_password(self, password: str | None, nt_hash: bytes | None) -> str | None:
        return self.new if password == self.password else None


def an_aaa(*users: User) -> Aaa:
    return Aaa(Directory({"default": DEFAULT}, {user.name: user for user in users or (BOB,)}))


def ask(aaa: Aaa, proof: Proof, request: int = 1, login: str = "bob") -> object:
    aaa.request("s", request, login, proof, CLIENT)
    return event(aaa)


def event(aaa: Aaa) -> object:
    said = aaa.next_event()
    assert aaa.next_event() is None
    return said.decision if isinstance(said, Decided) else said


def store(aaa: Aaa, **changes: object) -> None:
    """Be the program: let the directory have the new password."""
    user = replace(BOB, password="new", must_change_password=False, **changes)  # type: ignore[arg-type]
    aaa.replace(Directory({"default": DEFAULT}, {"bob": user}))


def test_the_password_has_expired() -> None:
    rejected = ask(an_aaa(), Login())
    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.PASSWORD_EXPIRED
    assert rejected.ms_chap_error is MsChapError.PASSWORD_EXPIRED == 648


def test_whoever_does_not_know_the_password_does_not_learn_of_it() -> None:
    rejected = ask(an_aaa(), Login("guess"))
    assert isinstance(rejected, Rejected)
    assert rejected.ms_chap_error == 691


def test_that_the_user_is_disabled_comes_first() -> None:
    for proof in (Login(), Change()):
        rejected = ask(an_aaa(replace(BOB, disabled=True)), proof)
        assert isinstance(rejected, Rejected)
        assert rejected.ms_chap_error == 647


@pytest.mark.parametrize(
    ("method", "mend"),
    [
        ("MS-CHAPv2", "does not ask for a new one"),
        ("EAP-MSCHAPv2", "does not ask for a new one"),
        ("PAP", "PAP cannot do that"),
        ("CHAP-MD5", "CHAP-MD5 cannot do that"),
    ],
)
def test_the_hint_says_whether_the_method_can_change_it(method: str, mend: str) -> None:
    rejected = ask(an_aaa(), Login(method=method))
    assert isinstance(rejected, Rejected)
    assert mend in rejected.hint


def test_a_certificate_does_not_expire_with_the_password() -> None:
    assert isinstance(ask(an_aaa(), Login(method="EAP-TLS")), Accepted)


def test_the_login_waits_for_the_new_password_to_be_stored() -> None:
    aaa = an_aaa()
    requested = ask(aaa, Change(), 3, "CORP\\bob")
    assert requested == PasswordChangeRequested("s", 3, "bob", "new")
    assert "new" not in repr(requested).replace("new_", "")
    store(aaa)
    assert event(aaa) is None
    aaa.password_stored("s", 3)
    accepted = event(aaa)
    assert isinstance(accepted, Accepted)
    assert accepted.reply == b"S=new"
    assert aaa.lease("s").address in DEFAULT.pool
    aaa.password_stored("s", 3)
    assert event(aaa) is None


def test_it_could_not_be_stored() -> None:
    aaa = an_aaa()
    ask(aaa, Change())
    aaa.password_stored("s", 1, "no space left on device")
    rejected = event(aaa)
    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.PASSWORD_NOT_CHANGED
    assert rejected.ms_chap_error is MsChapError.CHANGING_PASSWORD == 709
    assert rejected.hint.endswith("no space left on device")
    assert "space" not in rejected.message


def test_the_user_is_gone_by_then() -> None:
    for directory in (Directory({"default": DEFAULT}, {}), Directory({}, {"bob": BOB})):
        aaa = an_aaa()
        ask(aaa, Change())
        aaa.replace(directory)
        aaa.password_stored("s", 1)
        assert isinstance(event(aaa), Rejected)
    aaa = an_aaa()
    ask(aaa, Change())
    store(aaa, disabled=True)
    aaa.password_stored("s", 1)
    assert isinstance(event(aaa), Rejected)


def test_an_answer_that_comes_too_late_has_no_effect() -> None:
    aaa = an_aaa()
    ask(aaa, Change(), 1)
    ask(aaa, Change(), 2)
    aaa.password_stored("s", 1)
    assert event(aaa) is None
    ask(aaa, Login("guess"), 3)
    aaa.password_stored("s", 2)
    assert event(aaa) is None
    ask(aaa, Change(), 4)
    aaa.release("s")
    aaa.password_stored("s", 4)
    assert event(aaa) is None


def test_a_change_by_somebody_who_does_not_know_the_old_one() -> None:
    rejected = ask(an_aaa(), Change("guess"))
    assert isinstance(rejected, Rejected)
    assert rejected.ms_chap_error == 709
    stranger = ask(an_aaa(), Change(), login="eve")
    assert isinstance(stranger, Rejected)
    assert stranger.reason is Reason.UNKNOWN_USER


def test_a_change_tells_no_more_of_who_exists_than_a_login() -> None:
    known, unknown = ask(an_aaa(), Change("guess")), ask(an_aaa(), Change(), login="eve")
    assert isinstance(known, Rejected)
    assert isinstance(unknown, Rejected)
    assert (known.message, known.ms_chap_error) == (unknown.message, unknown.ms_chap_error)


def test_whoever_guesses_by_changes_is_locked() -> None:
    aaa = Aaa(Directory({"default": DEFAULT}, {"bob": BOB}), limits=Limits(attempts=3))
    for _ in range(3):
        rejected = ask(aaa, Change("guess"))
        assert isinstance(rejected, Rejected)
        assert rejected.reason is Reason.WRONG_PASSWORD
    locked = ask(aaa, Change())
    assert isinstance(locked, Rejected)
    assert locked.reason is Reason.LOCKED


def test_the_answer_that_locks_leaves_no_other_try() -> None:
    aaa = Aaa(Directory({"default": DEFAULT}, {"bob": BOB}), limits=Limits(attempts=2))
    first, second = ask(aaa, Login("guess")), ask(aaa, Login("guess"))
    assert isinstance(first, Rejected)
    assert isinstance(second, Rejected)
    assert (first.ms_chap_error, second.ms_chap_error) == (691, 647)
    assert second.reason is Reason.WRONG_PASSWORD
    assert "is locked" in second.hint


def test_a_password_that_had_to_change_was_no_wrong_one() -> None:
    aaa = Aaa(Directory({"default": DEFAULT}, {"bob": BOB}), limits=Limits(attempts=2))
    for _ in range(5):
        assert isinstance(ask(aaa, Login()), Rejected)
        assert isinstance(ask(aaa, Change(new="")), Rejected)
    assert not aaa.lockout.locks(0.0)


def test_with_one_time_codes_it_cannot_be_changed() -> None:
    rejected = ask(an_aaa(replace(BOB, totp=bytes(20))), Change())
    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.PASSWORD_NOT_CHANGED
    assert rejected.ms_chap_error == 709
    assert "l2gate user passwd" in rejected.hint


def test_a_user_who_has_expired_meanwhile() -> None:
    aaa = an_aaa()
    ask(aaa, Change())
    store(aaa, expires=date(1969, 1, 1))
    aaa.password_stored("s", 1)
    assert isinstance(event(aaa), Rejected)


@dataclass(frozen=True)
class Certificate:
    """Is right whatever the password is."""

    method: str = "EAP-TLS"

    def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
        return b""


def test_a_certificate_needs_no_password_but_stands_for_no_code() -> None:
    hashed = User("bob", argon2="$argon2id$v=19$m=16,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo")
    assert isinstance(ask(an_aaa(hashed), Certificate()), Accepted)
    assert isinstance(ask(an_aaa(User("bob", nt_hash=bytes(16))), Certificate()), Accepted)
    rejected = ask(an_aaa(User("bob", password="old", totp=bytes(20))), Certificate())
    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.METHOD_NOT_POSSIBLE


@pytest.mark.parametrize("new", ["", "a\nb", "a\0", "x" * 256, "€" * 86])
def test_what_can_be_no_password(new: str) -> None:
    rejected = ask(an_aaa(), Change(new=new))
    assert isinstance(rejected, Rejected)
    assert rejected.ms_chap_error == 709
    assert isinstance(ask(an_aaa(), Change(new="€" * 85)), PasswordChangeRequested)
