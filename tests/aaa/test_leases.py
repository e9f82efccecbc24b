"""Addresses: stickiness, reservations, exhaustion, reload; a model that never shares or leaks."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import aaa.leases
from aaa import AddressInUse, AddressRange, Department, Directory, Pool, PoolExhausted, User
from aaa.leases import Leases
from wire import LocalError


def pool(*ranges: str) -> Pool:
    parts = [part.split("-") for part in ranges]
    return Pool(tuple(AddressRange(IPv4Address(p[0]), IPv4Address(p[-1])) for p in parts))


def department(name: str, *ranges: str) -> Department:
    return Department(name, (), pool(*ranges), IPv4Address("10.255.0.1"))


def directory(departments: list[Department], users: list[User] | None = None) -> Directory:
    return Directory({d.name: d for d in departments}, {u.name: u for u in users or []})


STAFF = department("default", "10.0.0.2-10.0.0.4")
BOB, EVE, JIM, ANN = (User(name, "pw") for name in ("bob", "eve", "jim", "ann"))


def address(leases: Leases, session: str, user: User, where: Department = STAFF) -> str:
    return str(leases.lease(session, user, where).address)


def test_fresh_addresses_come_in_order_and_a_session_keeps_its_own() -> None:
    leases = Leases(directory([STAFF]))
    assert address(leases, "s1", BOB) == "10.0.0.2"
    assert address(leases, "s2", EVE) == "10.0.0.3"
    assert address(leases, "s1", BOB) == "10.0.0.2"
    assert len(leases) == 2


def test_addresses_of_before_are_remembered() -> None:
    leases = Leases(directory([STAFF], [User("fix", "pw", address=IPv4Address("10.0.0.3"))]))
    before = {"bob": "10.0.0.4", "old": "10.0.0.2", "eve": "10.0.0.2"}
    before |= {"jim": "10.0.0.3", "ann": "10.9.9.9"}
    leases.remember({user: int(IPv4Address(text)) for user, text in before.items()})
    assert address(leases, "s1", EVE) == "10.0.0.2", "the latest had it last"
    assert address(leases, "s2", JIM) == "10.0.0.4", "3 is reserved now; the longest unused one"
    with pytest.raises(PoolExhausted):
        address(leases, "s3", BOB)
    leases.release("s1")
    leases.release("s2")
    assert address(leases, "s4", JIM) == "10.0.0.4"


def test_foreign_addresses_are_given_to_nobody_and_come_back() -> None:
    leases = Leases(directory([STAFF]))
    assert address(leases, "s1", BOB) == "10.0.0.2"
    leases.release("s1")
    leases.set_foreign([int(IPv4Address("10.0.0.2")), int(IPv4Address("10.0.0.3"))])
    assert address(leases, "s2", BOB) == "10.0.0.4", "another gateway has what was his"
    with pytest.raises(PoolExhausted):
        address(leases, "s3", EVE)
    leases.set_foreign([int(IPv4Address("10.0.0.3"))])
    assert address(leases, "s3", EVE) == "10.0.0.2"
    leases.set_foreign([])
    assert address(leases, "s4", JIM) == "10.0.0.3", "the cursor had passed it"
    leases.set_foreign([int(IPv4Address("10.0.0.4"))])
    leases.release("s2")
    with pytest.raises(PoolExhausted):
        address(leases, "s5", BOB)
    leases.set_foreign([])
    assert address(leases, "s5", BOB) == "10.0.0.4"


def test_an_address_that_turns_out_to_be_foreign() -> None:
    fixed = User("fix", "pw", address=IPv4Address("10.0.0.3"))
    leases = Leases(directory([STAFF], [fixed]))
    assert address(leases, "s1", BOB) == "10.0.0.2"
    leases.give_up("s1")
    assert address(leases, "s1", BOB) == "10.0.0.4"
    assert address(leases, "s2", fixed) == "10.0.0.3"
    leases.give_up("s2")
    assert address(leases, "s2", fixed) == "10.0.0.3", "it is nobody else's to give"


def test_all_ranges_of_a_pool_are_used() -> None:
    two = department("default", "10.0.0.9", "10.0.1.1-10.0.1.2")
    leases = Leases(directory([two]))
    got = [address(leases, name, User(name), two) for name in "abc"]
    assert got == ["10.0.0.9", "10.0.1.1", "10.0.1.2"]


def test_a_user_gets_the_last_address_again_while_others_use_the_rest() -> None:
    leases = Leases(directory([STAFF]))
    address(leases, "s1", BOB)
    address(leases, "s2", EVE)
    leases.release("s1")
    leases.release("s2")
    assert address(leases, "s3", JIM) == "10.0.0.4", "a fresh one, not somebody's last one"
    assert address(leases, "s4", EVE) == "10.0.0.3"
    assert address(leases, "s5", BOB) == "10.0.0.2"


def test_without_fresh_addresses_the_one_that_was_free_longest_is_taken() -> None:
    leases = Leases(directory([STAFF]))
    for session, user in (("s1", BOB), ("s2", EVE), ("s3", JIM)):
        address(leases, session, user)
    for session in ("s2", "s1", "s3"):
        leases.release(session)
    assert address(leases, "s4", ANN) == "10.0.0.3"
    assert address(leases, "s5", EVE) == "10.0.0.2", "her own is taken by now"


def test_a_user_of_two_sessions_keeps_the_last_address_when_the_other_is_reused() -> None:
    leases = Leases(directory([STAFF]))
    for session, user in (("s1", BOB), ("s2", BOB), ("s3", EVE)):
        address(leases, session, user)
    for session in ("s1", "s3", "s2"):
        leases.release(session)
    assert address(leases, "s4", JIM) == "10.0.0.2"
    assert address(leases, "s5", BOB) == "10.0.0.3"
    assert address(leases, "s6", EVE) == "10.0.0.4"


def test_a_full_pool_says_which_and_what_to_do() -> None:
    leases = Leases(directory([STAFF], [User("boss", "pw", address=IPv4Address("10.0.0.3"))]))
    address(leases, "s1", BOB)
    address(leases, "s2", EVE)
    with pytest.raises(PoolExhausted) as caught:
        leases.lease("s3", JIM, STAFF)
    assert (caught.value.department, caught.value.size) == ("default", 3)
    assert str(caught.value) == (
        "all 3 addresses of the pool of department 'default' (10.0.0.2-10.0.0.4) are in use or "
        "reserved: enlarge departments.default.pool or set "
        "departments.default.max_sessions_per_user"
    )
    leases.release("s1")
    assert address(leases, "s3", JIM) == "10.0.0.2"


def test_a_fixed_address_is_its_users_alone() -> None:
    boss = User("boss", "pw", address=IPv4Address("10.0.0.2"))
    leases = Leases(directory([STAFF], [boss]))
    assert address(leases, "s1", BOB) == "10.0.0.3"
    lease = leases.lease("s2", boss, STAFF)
    assert (str(lease.address), lease.fixed) == ("10.0.0.2", True)
    with pytest.raises(AddressInUse, match=r"10\.0\.0\.2 of 'boss' is still held"):
        leases.lease("s3", boss, STAFF)
    leases.release("s2")
    assert address(leases, "s4", EVE) == "10.0.0.4"
    with pytest.raises(PoolExhausted):
        leases.lease("s5", JIM, STAFF)


def test_transfer_hands_the_address_over() -> None:
    leases = Leases(directory([STAFF]))
    address(leases, "old", BOB)
    leases.transfer("old", "new")
    assert leases.get("old") is None
    assert address(leases, "new", BOB) == "10.0.0.2"
    leases.release("old")
    assert address(leases, "s2", EVE) == "10.0.0.3", "the release of the old one frees nothing"
    with pytest.raises(LocalError):
        leases.transfer("s2", "new")


def test_a_huge_pool_remembers_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aaa.leases, "REMEMBERED", 10)
    network = IPv4Network("10.0.0.0/8")
    huge = department("default", f"{network[1]}-{network[-2]}")
    leases = Leases(directory([huge]))
    seen = set()
    for turn in range(1000):
        seen.add(address(leases, "s", User(f"user{turn}"), huge))
        leases.release("s")
    assert len(seen) == 10


def test_replace_keeps_what_is_held_and_what_users_had() -> None:
    leases = Leases(directory([STAFF]))
    address(leases, "s1", BOB)
    address(leases, "s2", EVE)
    leases.release("s2")
    wider = department("default", "10.0.0.2-10.0.0.5")
    leases.replace(directory([wider]))
    assert address(leases, "s3", JIM, wider) == "10.0.0.4"
    assert address(leases, "s4", EVE, wider) == "10.0.0.3"
    assert address(leases, "s5", ANN, wider) == "10.0.0.5"
    leases.release("s1")
    assert address(leases, "s6", User("zoe"), wider) == "10.0.0.2"


def test_an_address_that_left_the_pool_does_not_come_back_to_it() -> None:
    leases = Leases(directory([STAFF]))
    address(leases, "s1", BOB)
    moved = department("default", "10.7.0.1")
    other = department("other", "10.0.0.2-10.0.0.2")
    leases.replace(directory([moved, other]))
    with pytest.raises(PoolExhausted):
        leases.lease("s2", EVE, other)
    leases.release("s1")
    assert address(leases, "s2", EVE, other) == "10.0.0.2", "it is free in the pool that has it now"
    assert address(leases, "s3", BOB, moved) == "10.7.0.1"


USERS = tuple("abcdef")


def build(cut: int, fixed: dict[str, int]) -> Directory:
    """Two departments on both sides of address `cut`, which belongs to neither."""
    base = int(IPv4Address("10.0.0.0"))

    def part(first: int, last: int) -> Pool:
        return Pool((AddressRange(IPv4Address(base + first), IPv4Address(base + last)),))

    gateway = IPv4Address("10.255.0.1")
    return Directory(
        {
            "default": Department("default", (), part(1, cut - 1), gateway),
            "x": Department("x", ("x",), part(cut + 1, 10), gateway),
        },
        {
            name: User(
                name, "pw", address=IPv4Address(base + fixed[name]) if name in fixed else None
            )
            for user in USERS
            for name in (user, f"{user}@x")
        },
    )


class LeaseMachine(RuleBasedStateMachine):
    """Leases against the simplest model there is: a dict from session to address."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = build(6, {})
        self.leases = Leases(self.directory)
        self.model: dict[int, IPv4Address] = {}
        self.turn = 0

    @rule(name=st.sampled_from([n for u in USERS for n in (u, f"{u}@x")]))
    def lease(self, name: str) -> None:
        self.turn += 1
        user = self.directory.users[name]
        where = self.directory.department_of(name)
        assert where is not None
        reserved = {IPv4Address(a) for a in self.directory.reservations}
        held = set(self.model.values())
        free = (
            {
                IPv4Address(a)
                for part in where.pool.ranges
                for a in range(int(part.first), int(part.last) + 1)
            }
            - reserved
            - held
        )
        try:
            lease = self.leases.lease(self.turn, user, where)
        except AddressInUse:
            assert user.address in held
        except PoolExhausted:
            assert user.address is None
            assert not free, "an address leaked"
        else:
            assert lease.address not in held, "two owners"
            assert lease.address == user.address if user.address else lease.address in free
            self.model[self.turn] = lease.address

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(sorted(self.model)))
        self.leases.release(session)
        del self.model[session]

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def transfer(self, data: st.DataObject) -> None:
        self.turn += 1
        old = data.draw(st.sampled_from(sorted(self.model)))
        self.leases.transfer(old, self.turn)
        self.model[self.turn] = self.model.pop(old)

    @rule(
        cut=st.integers(2, 9),
        fixed=st.dictionaries(st.sampled_from(USERS), st.integers(1, 12), max_size=3),
    )
    def replace(self, cut: int, fixed: dict[str, int]) -> None:
        distinct = {number: user for user, number in fixed.items()}
        self.directory = build(cut, {user: number for number, user in distinct.items()})
        self.leases.replace(self.directory)

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        assert len(self.leases) == len(self.model)
        for session, wanted in self.model.items():
            lease = self.leases.get(session)
            assert lease is not None
            assert lease.address == wanted


TestLeaseMachine = LeaseMachine.TestCase
TestLeaseMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
