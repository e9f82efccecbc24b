"""Logins that wait for the store, where a client logs in more than once in one call."""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from types import SimpleNamespace

from aaa import Accepted, Lease, Reason, User
from aaa.radius.constants import AcctTerminateCause
from l2gate.events import Event, NetworkUp, SessionBegun, SessionEnded
from l2gate.register import Register, why_not
from l2gate.state import Ending, StateError, TooManySessions, Traffic
from tests.support.lab import department

SALES = replace(department("sales", "sales.example.com", 1), max_sessions_per_user=2)
BOB = User("bob")


@dataclass
class Desk:
    """A register, and what it told."""

    told: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.register = Register(lambda: 5.9, self.told.append, lambda call: "facts")

    def begun(self) -> SessionBegun:
        assert isinstance(self.told[-1], SessionBegun)
        return self.told[-1]


def call(session: int = 7, address: str = "172.16.1.2") -> SimpleNamespace:
    record = SimpleNamespace(path=SimpleNamespace(peer="198.51.100.7:4500"))
    return SimpleNamespace(
        session=session,
        lease=Lease(IPv4Address(address), False),
        peer=SimpleNamespace(record=record),
        host_name="laptop\n",
        accounting_id="1-1",
        carried=lambda: Traffic(1, 2, 3, 4),
        is_open=False,
    )


def begin(desk: Desk, who: SimpleNamespace, request: int, user: User = BOB) -> None:
    desk.register.begin(who, request, Accepted(user, SALES, b""))  # type: ignore[arg-type]


def test_a_login_that_is_repeated_while_it_waits_begins_once() -> None:
    desk, bob = Desk(), call()
    begin(desk, bob, 1)
    begin(desk, bob, 2)
    assert len(desk.told) == 1
    beginning = desk.begun().beginning
    assert (beginning.login, beginning.limit, beginning.host_name) == ("bob", 2, r"laptop\n")
    login = desk.register.answered(7, beginning)
    assert login is not None
    assert login.request == 2
    assert desk.register.answered(7, beginning) is None, "one answer is enough"


def test_a_later_login_of_the_same_user_has_the_same_session() -> None:
    desk, bob = Desk(), call()
    begin(desk, bob, 1)
    first = desk.begun().beginning
    assert desk.register.answered(7, first) is not None
    begin(desk, bob, 2)
    assert desk.begun().beginning == first
    assert len(desk.told) == 2


def test_an_answer_about_a_former_address_counts_for_nothing() -> None:
    desk, bob = Desk(), call()
    begin(desk, bob, 1)
    first = desk.begun().beginning
    bob.lease = Lease(IPv4Address("172.16.1.3"), False)
    begin(desk, bob, 1)
    second = desk.begun().beginning
    assert (second.id, second.address) == (first.id, "172.16.1.3")
    assert desk.register.answered(7, first) is None
    assert desk.register.answered(7, second) is not None


def test_calls_that_never_began_are_not_told_of() -> None:
    desk = Desk()
    desk.register.opened(call())  # type: ignore[arg-type]
    desk.register.ended(call(), "over", AcctTerminateCause.LOST_CARRIER)  # type: ignore[arg-type]
    assert desk.told == []
    assert not list(desk.register.carried())


def test_an_open_call_is_told_of_and_counted() -> None:
    desk, bob = Desk(), call()
    begin(desk, bob, 1)
    bob.is_open = True
    desk.register.opened(bob)  # type: ignore[arg-type]
    assert desk.told[-1] == NetworkUp("1-1", 5, "facts")
    assert list(desk.register.carried()) == [("1-1", Traffic(1, 2, 3, 4))]
    desk.register.ended(bob, "over\n", AcctTerminateCause.IDLE_TIMEOUT)  # type: ignore[arg-type]
    ending = Ending("1-1", 5, r"over\n", Traffic(1, 2, 3, 4), AcctTerminateCause.IDLE_TIMEOUT)
    assert desk.told[-1] == SessionEnded(ending)


def test_refusals() -> None:
    many = why_not("bob", TooManySessions(2, ("a", "b")))
    assert (many.reason, many.ms_chap_error) == (Reason.TOO_MANY_SESSIONS, 649)
    assert many.hint.startswith("'bob' has 2 already, on a, b: disconnect one")
    away = why_not("bob", StateError("PostgreSQL: connection refused"))
    assert (away.reason, away.ms_chap_error) == (Reason.NO_STATE, 649)
    assert "bob" not in away.message
