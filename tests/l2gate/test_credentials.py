"""Users with hashes, codes, a last day and locks, with the proofs that PPP makes."""

from dataclasses import replace
from datetime import date, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from aaa import (
    Aaa,
    Accepted,
    AddressRange,
    ClientFacts,
    Department,
    Directory,
    Limits,
    MsChapError,
    Pool,
    Proof,
    Reason,
    Rejected,
    User,
)
from aaa.totp import STEP, hotp
from l2gate.configuration import Problem, load
from l2gate.configuration.editing import Kind
from ppp.mschapv2 import generate_nt_response, nt_password_hash
from ppp.proofs import ChapMd5Proof, MsChapV2Proof, PapProof, chap_md5_response

PAP, MD5, MS_CHAP = range(3)
CHALLENGE, PEER_CHALLENGE = bytes(range(16)), bytes(range(16, 32))
SECRET = b"12345678901234567890"
NOW = 1_700_000_010.0
HOME, OFFICE = ClientFacts("198.51.100.7"), ClientFacts("203.0.113.9")
POOL = Pool((AddressRange(IPv4Address("10.0.0.2"), IPv4Address("10.0.0.99")),))
DEPARTMENTS = {"default": Department("default", (), POOL, IPv4Address("10.0.0.1"))}
ARGON2 = Kind.ARGON2.keep("sécret")

OTHERS_ARGON2 = (
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
)
"""A vector of the reference implementation (phc-winner-argon2, src/test.c): "password"."""


def proof(method: int, password: str, name: str = "bob") -> Proof:
    response = generate_nt_response(
        CHALLENGE, PEER_CHALLENGE, name.encode(), nt_password_hash(password)
    )
    proofs: list[Proof] = [
        PapProof(name, password.encode()),
        ChapMd5Proof(name, 1, CHALLENGE, chap_md5_response(1, password, CHALLENGE)),
        MsChapV2Proof(name, CHALLENGE, PEER_CHALLENGE, response),
    ]
    return proofs[method]


class Desk:
    """One AAA with a clock that stands still until it is set."""

    def __init__(self, *users: User, limits: Limits | None = None) -> None:
        self.now = NOW
        self.session = 0
        self.users = {user.name: user for user in users}
        self.aaa = Aaa(Directory(DEPARTMENTS, self.users), lambda: self.now, limits)

    def log_in(
        self, method: int, password: str, name: str = "bob", client: ClientFacts = HOME
    ) -> Accepted | Rejected:
        self.session += 1
        self.aaa.request(self.session, 1, name, proof(method, password, name), client)
        decided = self.aaa.next_event()
        assert decided is not None
        return decided.decision

    def reason(self, method: int, password: str, name: str = "bob") -> Reason | None:
        decision = self.log_in(method, password, name)
        return None if isinstance(decision, Accepted) else decision.reason


def code(now: float = NOW) -> str:
    return hotp(SECRET, int(now) // STEP)


NT = nt_password_hash("sécret")
WITH_CODE = [
    (User("bob", password="sécret", totp=SECRET), (PAP, MD5, MS_CHAP)),
    (User("bob", nt_hash=NT, totp=SECRET), (PAP,)),
    (User("bob", argon2=ARGON2, totp=SECRET), (PAP,)),
]
WITHOUT_CODE = [
    (User("bob", password="sécret"), (PAP, MD5, MS_CHAP)),
    (User("bob", nt_hash=NT), (PAP, MS_CHAP)),
    (User("bob", argon2=ARGON2), (PAP,)),
]


@pytest.mark.parametrize("method", [PAP, MD5, MS_CHAP])
@pytest.mark.parametrize(("user", "methods"), WITHOUT_CODE)
def test_which_secret_serves_which_method(
    user: User, methods: tuple[int, ...], method: int
) -> None:
    if method in methods:
        assert Desk(user).reason(method, "sécret") is None
        assert Desk(user).reason(method, "secret") is Reason.WRONG_PASSWORD
        assert Desk(user).reason(method, "sécret" + code()) is Reason.WRONG_PASSWORD
    else:
        assert Desk(user).reason(method, "sécret") is Reason.METHOD_NOT_POSSIBLE


@pytest.mark.parametrize("method", [PAP, MD5, MS_CHAP])
@pytest.mark.parametrize(("user", "methods"), WITH_CODE)
def test_which_secret_serves_which_method_with_a_code(
    user: User, methods: tuple[int, ...], method: int
) -> None:
    if method not in methods:
        assert Desk(user).reason(method, "sécret" + code()) is Reason.METHOD_NOT_POSSIBLE
        return
    for step in (-1, 0, 1):
        assert Desk(user).reason(method, "sécret" + code(NOW + step * STEP)) is None
    for wrong in ("secret" + code(), "sécret" + code(NOW + 2 * STEP), code(), code() + "sécret"):
        assert Desk(user).reason(method, wrong) is Reason.WRONG_PASSWORD
    refused = Desk(user).log_in(method, "sécret")
    assert isinstance(refused, Rejected)
    missing = user.argon2 is None
    assert refused.reason is (Reason.WRONG_CODE if missing else Reason.WRONG_PASSWORD)
    assert (refused.message, refused.ms_chap_error) == ("authentication failed", 691)


def test_a_success_message_is_over_password_and_code() -> None:
    desk = Desk(User("bob", password="pw", totp=SECRET))
    decision = desk.log_in(MS_CHAP, "pw" + code())
    assert isinstance(decision, Accepted)
    assert decision.reply == proof(MS_CHAP, "pw" + code()).verify("pw" + code(), None)


@pytest.mark.parametrize("method", [PAP, MD5, MS_CHAP])
def test_a_code_works_once_and_none_before_it_afterwards(method: int) -> None:
    """RFC 6238 section 5.2."""
    desk = Desk(User("bob", password="pw", totp=SECRET), User("ann", password="pw", totp=SECRET))
    assert desk.reason(method, "pw" + code()) is None
    refused = desk.log_in(method, "pw" + code())
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.WRONG_CODE
    assert "used already" in refused.hint
    assert desk.reason(method, "pw" + code(NOW - STEP)) is Reason.WRONG_CODE
    assert desk.reason(method, "pw" + code(), "ann") is None, "another user's is another code"
    assert desk.reason(method, "pw" + code(NOW + STEP)) is None
    desk.aaa.replace(Directory(DEPARTMENTS, dict(desk.users)))
    assert desk.reason(method, "pw" + code(NOW + STEP)) is Reason.WRONG_CODE


def test_a_wrong_password_does_not_use_a_code_up() -> None:
    desk = Desk(User("bob", password="pw", totp=SECRET))
    assert desk.reason(MS_CHAP, "wrong" + code()) is Reason.WRONG_PASSWORD
    assert desk.reason(MS_CHAP, "pw" + code()) is None


def test_the_work_of_one_login_is_bounded() -> None:
    count = 0

    class Counting:
        method = "MS-CHAPv2"

        def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
            nonlocal count
            count += 1
            return None

    desk = Desk(User("bob", password="pw", totp=SECRET))
    desk.aaa.request(1, 1, "bob", Counting(), HOME)
    assert count == 3 + 3 + 1, "to decide, and to say why not"


def test_a_hash_of_another_implementation() -> None:
    desk = Desk(User("bob", argon2=OTHERS_ARGON2))
    assert desk.reason(PAP, "password") is None
    assert desk.reason(PAP, "passwore") is Reason.WRONG_PASSWORD


def test_nobody_logs_in_as_the_decoy() -> None:
    desk = Desk(User("bob", argon2=OTHERS_ARGON2, totp=SECRET))
    assert desk.reason(PAP, "password", "eve") is Reason.UNKNOWN_USER
    assert desk.reason(PAP, "password", "") is Reason.UNKNOWN_USER
    assert desk.reason(PAP, "password" + code()) is None


def test_the_last_day_is_a_whole_one() -> None:
    day = date(2026, 12, 31)
    desk = Desk(User("bob", password="pw", expires=day))
    desk.now = datetime(2026, 12, 31, 23, 59, 59).timestamp()
    assert desk.reason(MS_CHAP, "pw") is None
    assert desk.aaa.disallowed_by(desk.aaa.directory) == []
    desk.now += 1
    refused = desk.log_in(MS_CHAP, "pw")
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.EXPIRED
    assert refused.ms_chap_error is MsChapError.NO_DIALIN_PERMISSION
    assert desk.reason(MS_CHAP, "wrong") is Reason.WRONG_PASSWORD
    (revoked,) = desk.aaa.replace(desk.aaa.directory)
    assert revoked.why == "the user has expired"


def test_a_locked_user_gets_one_answer_whatever_the_password() -> None:
    desk = Desk(User("bob", password="pw"), limits=Limits())
    for _ in range(5):
        assert desk.reason(MS_CHAP, "wrong") is Reason.WRONG_PASSWORD
    right, wrong = desk.log_in(MS_CHAP, "pw"), desk.log_in(MS_CHAP, "wrong")
    assert isinstance(right, Rejected)
    assert right == wrong
    assert right.reason is Reason.LOCKED
    assert right.ms_chap_error is MsChapError.ACCOUNT_DISABLED
    until = datetime.fromtimestamp(NOW + 900).strftime("%Y-%m-%d %H:%M:%S")
    assert f"'bob' is locked from 198.51.100.7 until {until}" in right.hint
    assert isinstance(desk.log_in(MS_CHAP, "pw", client=OFFICE), Accepted)
    desk.now += 900
    assert desk.reason(MS_CHAP, "pw") is None


def test_the_refusal_that_locks_says_so() -> None:
    desk = Desk(User("bob", password="pw"), limits=Limits(attempts=2))
    first, second = desk.log_in(PAP, "a"), desk.log_in(PAP, "b")
    assert isinstance(first, Rejected)
    assert isinstance(second, Rejected)
    assert "locked" not in first.hint
    assert "'bob' is locked from 198.51.100.7 until " in second.hint


def test_names_that_do_not_exist_are_locked_as_others_are() -> None:
    desk = Desk(User("bob", password="pw"), limits=Limits())
    answers = []
    for name in ("bob", "eve"):
        tries = [desk.log_in(MS_CHAP, "wrong", name) for _ in range(6)]
        answers.append([(t.message, t.ms_chap_error) for t in tries if isinstance(t, Rejected)])
    assert answers[0] == answers[1]


def test_a_login_that_is_right_but_not_allowed_is_no_guess() -> None:
    users = (User("bob", password="pw", disabled=True), User("ann", nt_hash=NT))
    desk = Desk(*users, limits=Limits(attempts=2))
    for _ in range(5):
        assert desk.reason(MS_CHAP, "pw") is Reason.DISABLED
        assert desk.reason(MD5, "sécret", "ann") is Reason.METHOD_NOT_POSSIBLE


def warnings(tmp_path: Path, users: str, methods: str) -> list[Problem]:
    path = tmp_path / "l2gate.yaml"
    path.write_text(
        "ipsec: {psk: ZZp4u9mVbC7kTqRx3sWd8yNe}\n"
        "departments: {default: {pool: 172.16.9.0/24, gateway: 172.16.9.1}}\n"
        f"ppp: {{authentication: [{methods}]}}\n{users}"
    )
    path.chmod(0o600)
    return [w for w in load(path).warnings if "can never log in" in w.text]


@pytest.mark.parametrize(
    ("user", "methods", "why"),
    [
        (f"argon2: '{ARGON2}'", "ms-chapv2", "only an argon2 hash, which MS-CHAPV2 cannot"),
        (f"nt_hash: {NT.hex()}", "chap-md5", "only an nt_hash, which CHAP-MD5 cannot use"),
        (
            f"nt_hash: {NT.hex()}, totp: JBSWY3DPEHPK3PXP",
            "ms-chapv2, chap-md5",
            "only an nt_hash, which MS-CHAPV2 cannot use with a one-time code",
        ),
        (f"nt_hash: {NT.hex()}, totp: JBSWY3DPEHPK3PXP", "ms-chapv2, pap", None),
        (f"argon2: '{ARGON2}'", "ms-chapv2, pap", None),
        ("password: pw, totp: JBSWY3DPEHPK3PXP", "ms-chapv2", None),
        (f"nt_hash: {NT.hex()}", "ms-chapv2", None),
    ],
)
def test_a_user_who_can_never_log_in_is_warned_of(
    tmp_path: Path, user: str, methods: str, why: str | None
) -> None:
    found = warnings(tmp_path, f"users:\n  - {{name: bob, {user}}}\n", methods)
    if why is None:
        assert found == []
    else:
        (problem,) = found
        assert problem.place.line == 5
        assert f"users[bob]: can never log in: has {why}" in problem.text


def test_no_secret_is_shown() -> None:
    user = User("bob", argon2=ARGON2, totp=SECRET)
    assert "argon2" not in repr(replace(user, disabled=True))
    assert "1234" not in repr(user)
