"""Guessing from outside: locks, delays, one-time codes, and what others notice of it."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import ClassVar

import pytest

from aaa import Limits, User
from aaa.lockout import DELAY, Lockout
from aaa.totp import STEP, hotp
from l2gate.control import Request, Response
from l2gate.operations import Operations
from ppp.authentication import Verdict
from ppp.chap import ChapPeer, NamedValue
from ppp.config import Method
from ppp.constants import ChapCode
from ppp.packet import Packet
from tests.support.client import ClientHost, ClientState
from tests.support.lab import PASSWORD, Lab, configuration
from tests.support.password_change import challenge_of

HOME, OFFICE = "198.51.100.7", "203.0.113.9"
WALL = 1e9
SECRET = bytes(range(20))


def lab_with(limits: Limits) -> Lab:
    lab = Lab()
    aaa = lab.server.gateway.aaa
    aaa.lockout = Lockout(limits)
    aaa._wall = lambda: lab.simulation.now + WALL
    return lab


def try_in(lab: Lab, password: str, name: str = "u1", host: str = HOME) -> ClientHost:
    client = lab.client(name, host, password=password)
    done = (ClientState.UP, ClientState.FAILED)
    assert lab.run(30, lambda: client.state in done)
    lab.simulation.remove(client)
    return client


class Guesser(ChapPeer):
    """Has another wrong password wherever the server offers another try."""

    failures: ClassVar[list[bytes]] = []

    def receive(self, packet: Packet, now: float) -> Verdict | None:
        if packet.code != ChapCode.FAILURE:
            return super().receive(packet, now)
        self.failures.append(packet.data)
        if b" R=1 " not in packet.data:
            return Verdict(False, packet.data.decode())
        challenge = NamedValue(challenge_of(packet.data), b"").build()
        again = Packet(ChapCode.CHALLENGE, (packet.identifier + 1) % 256, challenge)
        return super().receive(again, now)


def test_each_try_within_a_call_counts_and_the_one_that_locks_is_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Guesser.failures.clear()
    monkeypatch.setattr("ppp.link.ChapPeer", Guesser)
    lab = lab_with(Limits(attempts=2))
    assert try_in(lab, "wrong").state is ClientState.FAILED
    assert [failure[:10] for failure in Guesser.failures] == [b"E=691 R=1 ", b"E=647 R=0 "]
    assert len(lab.server.gateway.aaa.lockout.locks(WALL + lab.simulation.now)) == 1


def test_wrong_passwords_by_eap_count(monkeypatch: pytest.MonkeyPatch) -> None:
    Guesser.failures.clear()
    monkeypatch.setattr("ppp.eap_mschapv2.ChapPeer", Guesser)
    lab = lab_with(Limits(attempts=2))
    calls = lab.server.gateway.calls
    calls._links = replace(calls._links, methods=(Method.EAP,))

    def with_eap(client: ClientHost) -> None:
        client._link_config = replace(client._link_config, methods=(Method.EAP,))

    client = lab.client("u1", HOME, password="wrong", prepare=with_eap)
    assert lab.run(30, lambda: client.state is ClientState.FAILED)
    assert [failure[:10] for failure in Guesser.failures] == [b"E=691 R=1 ", b"E=647 R=0 "]
    assert lab.server.noted("EAP-MSCHAPv2 login refused: wrong password")
    assert len(lab.server.gateway.aaa.lockout.locks(WALL + lab.simulation.now)) == 1


def operations(lab: Lab) -> Operations:
    return Operations(
        configuration(),
        lab.server.gateway,
        clock=lambda: lab.simulation.now,
        wall=lambda: lab.simulation.now + WALL,
        flush=lambda: None,
    )


def ask(lab: Lab, command: str, **arguments: str) -> Response:
    answer = operations(lab).handle(Request(command, dict(arguments)))
    assert isinstance(answer, Response)
    return answer


def test_a_user_is_locked_at_one_address_and_unlocked_by_the_admin() -> None:
    lab = lab_with(Limits(attempts=3))
    for _ in range(3):
        assert try_in(lab, "wrong").state is ClientState.FAILED
    assert try_in(lab, PASSWORD).state is ClientState.FAILED
    (line, *_) = lab.server.noted("locked after wrong passwords")
    assert "'u1' is locked from 198.51.100.7 until " in str(line)
    assert str(line).endswith("(Windows error 647)")
    assert "\n" not in str(line)
    assert try_in(lab, PASSWORD, host=OFFICE).state is ClientState.UP
    assert try_in(lab, PASSWORD, "u2").state is ClientState.UP
    assert isinstance(locks := ask(lab, "locks").result, list)
    assert [(lock["user"], lock["host"]) for lock in locks if isinstance(lock, dict)] == [
        ("u1", HOME)
    ]
    assert ask(lab, "unlock", user="u2").error == "'u2' is not locked"
    assert ask(lab, "unlock", user="u1").error is None
    assert try_in(lab, PASSWORD).state is ClientState.UP


def test_an_address_with_many_wrong_passwords_waits_for_each_answer() -> None:
    lab = lab_with(Limits(attempts=2))
    for name in ("u1", "u2"):
        try_in(lab, "wrong", name)
    began = lab.simulation.now
    assert try_in(lab, PASSWORD, "u3").state is ClientState.UP
    assert lab.simulation.now - began >= DELAY
    began = lab.simulation.now
    assert try_in(lab, PASSWORD, "u4", OFFICE).state is ClientState.UP
    assert lab.simulation.now - began < DELAY


def test_a_client_that_hangs_up_while_it_waits_leaves_nothing() -> None:
    lab = lab_with(Limits(attempts=2))
    for name in ("u1", "u2"):
        try_in(lab, "wrong", name)
    lab.run(120)
    client = lab.client("u3", HOME)
    calls = lab.server.gateway.calls
    assert lab.run(10, lambda: bool(calls._asked))
    client.hang_up(lab.simulation.now)
    lab.run(10 * DELAY)
    assert not calls._asked
    assert not len(calls)
    assert not lab.server.gateway.aaa._places


def test_a_code_after_the_password_inside_of_ms_chapv2() -> None:
    lab = lab_with(Limits())
    directory = configuration().directory
    carol = User("carol", password=PASSWORD, totp=SECRET)
    users = {**directory.users, "carol": carol}
    lab.server.gateway.replace_directory(replace(directory, users=users), lab.simulation.now)

    def code() -> str:
        return hotp(SECRET, int(lab.simulation.now + WALL) // STEP)

    assert try_in(lab, PASSWORD, "carol").state is ClientState.FAILED
    used = code()
    assert try_in(lab, PASSWORD + used, "carol").state is ClientState.UP
    assert try_in(lab, PASSWORD + used, "carol").state is ClientState.FAILED
    assert lab.server.noted("the one-time code was used already")
    lab.run(2 * STEP)
    assert try_in(lab, PASSWORD + code(), "carol").state is ClientState.UP


def test_a_session_ends_with_the_users_last_day() -> None:
    lab = lab_with(Limits())
    directory = configuration().directory

    def reload(last: date | None) -> None:
        users = {**directory.users, "u1": User("u1", password=PASSWORD, expires=last)}
        lab.server.gateway.replace_directory(replace(directory, users=users), lab.simulation.now)

    wall = lab.simulation.now + WALL
    today = date.fromtimestamp(wall)
    midnight = datetime.combine(today + timedelta(days=1), time()).timestamp()
    lab.run(midnight - wall - 1000)
    reload(today)
    clients = [lab.client("u1", HOME), lab.client("u2", OFFICE)]
    assert lab.run(10, lambda: all(client.state is ClientState.UP for client in clients))
    reload(date.max)
    reload(None)
    reload(today)
    lab.run(980)
    assert all(client.state is ClientState.UP for client in clients)
    lab.run(25)
    assert [client.state for client in clients] == [ClientState.CLOSED, ClientState.UP]
    assert lab.server.noted("the user has expired")
