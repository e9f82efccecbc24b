"""Sessions that survive: real clients, a real keeper with its thread, SQLite and PostgreSQL."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from aaa import AddressRange, Directory, Pool
from l2gate.configuration.model import StateSettings
from l2gate.control import Request
from l2gate.events import Noted, SessionBegun
from l2gate.gateway import Gateway
from l2gate.state import Beginning, HistoryFilter, Sqlite, StateError, Store
from l2gate.state.databases import Transaction
from tests.support.client import ClientState
from tests.support.lab import Lab, assert_passes_traffic, configuration
from tests.support.loops import in_loop
from tests.support.postgresql import PostgresqlServer, running_postgresql
from tests.support.state import WALL, Full, KeptLab


@pytest.fixture
def file(tmp_path: Path) -> StateSettings:
    return StateSettings(tmp_path / "state.db", None, "one", 365)


@pytest.fixture(scope="module")
def shared() -> Iterator[PostgresqlServer]:
    with running_postgresql() as server:
        yield server


def settings_of(server: PostgresqlServer, gateway: str) -> StateSettings:
    return StateSettings(None, server.conninfo, gateway, 365)


def with_department(**settings: object) -> Directory:
    whole = configuration().directory
    default = replace(whole.departments["default"], **settings)  # type: ignore[arg-type]
    return replace(whole, departments={**whole.departments, "default": default})


def test_without_the_section_nobody_waits() -> None:
    lab = Lab()
    client = lab.client()
    assert lab.run(10, lambda: client.state is ClientState.UP)
    assert all(isinstance(e, Noted) or "Session" not in type(e).__name__ for e in lab.server.events)


@in_loop
async def test_a_session_from_login_to_hanging_up(file: StateSettings) -> None:
    async with KeptLab(file) as lab:
        client = lab.client("u0", host_name="laptop")
        assert lab.run(10, lambda: any(isinstance(e, SessionBegun) for e in lab.server.events))
        lab.run(3)
        assert client.state is not ClientState.UP, "not before it is written down"
        assert await lab.go(10, lambda: client.state is ClientState.UP), client.why
        assert_passes_traffic(lab, client)
        (now,) = await lab.past()
        assert (now.login, now.address, now.ended) == ("u0", str(client.address), None)
        assert now.opened is not None
        await lab.keeper.update()
        (now,) = await lab.past()
        assert now.traffic.packets_in == now.traffic.packets_out == 1
        client.hang_up(lab.simulation.now)
        await lab.go(90, lambda: not len(lab.server.gateway.calls))
        (over,) = await lab.past()
        assert "the user hangs up" in str(over.why)
        assert over.host_name == "laptop"
        assert over.traffic == now.traffic
        assert over.ended is not None
        assert 0 < over.ended - over.began < 90


@in_loop
async def test_after_a_crash_users_have_their_addresses_and_what_was_open_is_over(
    file: StateSettings,
) -> None:
    lab = await KeptLab(file).__aenter__()
    first = [await lab.log_in(f"u{n}", f"198.51.100.{n + 1}") for n in range(5)]
    assert_passes_traffic(lab, first[0])
    await lab.keeper.update()
    at = int(lab.wall())
    await lab.go(45)
    await lab.crash()
    again = KeptLab(file, wall=WALL + 5000)
    async with again:
        second = [await again.log_in(f"u{n}", f"198.51.100.{n + 1}") for n in reversed(range(5))]
        assert [c.address for c in second] == [c.address for c in reversed(first)]
        assert (await again.log_in("u9", "198.51.100.99")).address not in [c.address for c in first]
        past = await again.past()
        over = [session for session in past if session.ended is not None]
        assert {session.login for session in over} == {f"u{n}" for n in range(5)}
        assert {session.why for session in over} == {"the server was restarted"}
        assert {session.ended for session in over} == {at}, "when they were last heard of"
        assert sum(session.traffic.packets_in for session in over) == 1
        assert len(past) == 11


@in_loop
async def test_a_full_disk_locks_nobody_out(
    file: StateSettings, caplog: pytest.LogCaptureFixture
) -> None:
    assert file.file is not None
    disk = Full(file.file)
    async with KeptLab(file, database=disk) as lab:
        stays = await lab.log_in("u0", "198.51.100.1")
        disk.full = True
        leaves = await lab.log_in("u1", "198.51.100.2")
        comes = await lab.log_in("u2", "198.51.100.3")
        leaves.hang_up(lab.simulation.now)
        await lab.go(90, lambda: len(lab.server.gateway.calls) == 2)
        assert_passes_traffic(lab, stays)
        assert_passes_traffic(lab, comes)
        assert caplog.text.count("the database is not there") == 1
        disk.full = False
        while lab.keeper._worker.fault is not None:
            await asyncio.sleep(0.01)
        await lab.settle()
        past = {session.login: session for session in await lab.past()}
        assert {login: s.ended is None for login, s in past.items()} == {
            "u0": True,
            "u1": False,
            "u2": True,
        }
        assert past["u1"].opened is not None


@in_loop
async def test_a_disk_that_is_full_at_the_start(file: StateSettings) -> None:
    assert file.file is not None
    disk = Full(file.file)
    disk.full = True
    async with KeptLab(file, database=disk) as lab:
        await lab.log_in("u0", "198.51.100.1")
        disk.full = False
        while lab.keeper._worker.fault is not None:
            await asyncio.sleep(0.01)
        await lab.settle()
        assert [session.login for session in await lab.past()] == ["u0"]


@in_loop
async def test_two_gateways_share_a_pool(shared: PostgresqlServer) -> None:
    three = with_department(
        pool=Pool((AddressRange(IPv4Address("172.16.9.2"), IPv4Address("172.16.9.4")),))
    )
    one = KeptLab(settings_of(shared, "one"), three)
    two = KeptLab(settings_of(shared, "two"), three)
    async with one, two:
        a = await one.log_in("u1", "198.51.100.1")
        b = await two.log_in("u2", "198.51.100.2")
        c = await one.log_in("u3", "198.51.100.3")
        assert len({a.address, b.address, c.address}) == 3
        # Two is full without asking anybody who has what: the database says so.
        await two.refused("u4", "198.51.100.4")
        assert two.server.noted("no address: all 3 addresses")
        a.hang_up(one.simulation.now)
        await one.go(90, lambda: len(one.server.gateway.calls) == 1)
        await two.keeper.update()
        d = await two.log_in("u4", "198.51.100.5")
        assert d.address == a.address, "what another gateway gave back"


@in_loop
async def test_nobody_walks_through_a_pool_that_others_use(file: StateSettings) -> None:
    assert file.file is not None
    async with KeptLab(file) as lab:
        database = Sqlite(file.file)
        busy = Store(database, "two")
        for last in range(2, 102):
            address = f"172.16.9.{last}"
            busy.begin(Beginning(address, f"x{last}", "default", address, "", "", WALL))
        client = await lab.log_in("u0", "198.51.100.1")
        assert str(client.address) == "172.16.9.102"
        asked = [e.beginning.address for e in lab.server.events if isinstance(e, SessionBegun)]
        assert asked == ["172.16.9.2", "172.16.9.102"]
        database.close()


@in_loop
async def test_the_limit_of_a_user_holds_for_all_gateways(shared: PostgresqlServer) -> None:
    once = with_department(max_sessions_per_user=1)
    one = KeptLab(settings_of(shared, "one"), once)
    two = KeptLab(settings_of(shared, "two"), once)
    async with one, two:
        client = await one.log_in("u7", "198.51.100.1")
        log = await two.refused("u7", "198.51.100.2")
        assert "the user has too many sessions; 'u7' has 1 already, on one: disconnect" in log
        assert not two.server.gateway.aaa._places
        client.hang_up(one.simulation.now)
        await one.go(90, lambda: not len(one.server.gateway.calls))
        await two.log_in("u7", "198.51.100.3")


@in_loop
async def test_a_device_that_comes_back_keeps_its_address(file: StateSettings) -> None:
    async with KeptLab(file, with_department(max_sessions_per_user=1)) as lab:
        before = await lab.log_in("u0", "198.51.100.1")
        lab.simulation.remove(before)
        after = await lab.log_in("u0", "198.51.100.1")
        assert after.address == before.address
        new, old = sorted(await lab.past(), key=lambda session: session.ended or 0)
        assert new.ended is None
        assert "INITIAL-CONTACT" in str(old.why)
        # Now one that IKE does not tell of: from another network, with the old one still there.
        moved = lab.client("u0", "198.51.100.2", host_name="198.51.100.1")
        assert await lab.go(10, lambda: moved.state is ClientState.UP), moved.why
        assert moved.address == before.address
        assert [s.why for s in await lab.past() if s.id == new.id] == [
            "the same device has logged in again"
        ]


@in_loop
async def test_a_call_that_ends_before_the_disk_has_failed_leaks_nothing(
    file: StateSettings,
) -> None:
    assert file.file is not None
    disk = Full(file.file)
    async with KeptLab(file, database=disk) as lab:
        client = lab.client("u0")
        assert lab.run(10, lambda: any(isinstance(e, SessionBegun) for e in lab.server.events))
        client.hang_up(lab.simulation.now)
        lab.run(60, lambda: not len(lab.server.gateway.calls))
        disk.full = True
        lab.tell()
        await lab.settle()
        disk.full = False
        while lab.keeper._worker.fault is not None:
            await asyncio.sleep(0.01)
        await lab.settle()
        assert await lab.past() == []
        assert Store(disk, "two").addresses_elsewhere() == []


@in_loop
async def test_a_call_that_ends_before_its_answer_leaks_nothing(file: StateSettings) -> None:
    async with KeptLab(file) as lab:
        client = lab.client("u0")
        assert lab.run(10, lambda: any(isinstance(e, SessionBegun) for e in lab.server.events))
        client.hang_up(lab.simulation.now)
        lab.run(60, lambda: not len(lab.server.gateway.calls))
        lab.tell()
        await lab.settle()
        (over,) = await lab.past()
        assert over.ended is not None
        assert over.opened is None
        database = Sqlite(file.file or "")
        assert Store(database, "two").addresses_elsewhere() == []
        database.close()


@in_loop
async def test_postgresql_is_killed_and_comes_back_in_mid_use() -> None:
    with running_postgresql() as server:
        async with KeptLab(settings_of(server, "one")) as lab:
            stays = await lab.log_in("u0", "198.51.100.1")
            leaves = await lab.log_in("u1", "198.51.100.2")
            server.kill()
            log = await lab.refused("u2", "198.51.100.3")
            assert "the database of sessions does not answer; nobody else may have the addr" in log
            assert_passes_traffic(lab, stays)
            leaves.hang_up(lab.simulation.now)
            await lab.go(90, lambda: len(lab.server.gateway.calls) == 1)
            ended = int(lab.wall())
            await lab.go(600)
            await lab.keeper.update()
            assert_passes_traffic(lab, stays)
            server.start()
            while lab.keeper._worker.fault is not None:
                await asyncio.sleep(0.02)
            again = await lab.log_in("u1", "198.51.100.4")
            assert again.address == leaves.address
            past = await lab.past()
            assert sorted((s.login, s.ended is None) for s in past) == [
                *(("u0", True), ("u1", False), ("u1", True))
            ]
            (over,) = [session for session in past if session.ended is not None]
            assert abs((over.ended or 0) - ended) <= 1, "not when the database came back"


class Hanging(Sqlite):
    """A database that answers nothing for a while."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.goes_on = threading.Event()
        self.goes_on.set()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self.goes_on.wait()
        with super().transaction() as transaction:
            yield transaction


@in_loop
async def test_a_database_that_hangs(file: StateSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2gate.keeper.PATIENCE", 0.05)
    assert file.file is not None
    database = Hanging(file.file)
    async with KeptLab(replace(file, file=None, postgresql=""), database=database) as lab:
        database.goes_on.clear()
        client = lab.client("u0", "198.51.100.1")
        lab.run(10, lambda: any(isinstance(e, SessionBegun) for e in lab.server.events))
        lab.tell()
        await asyncio.wait(lab.keeper._answering)
        lab.run(10, lambda: client.state is ClientState.FAILED)
        assert lab.server.noted("no answer within")
        database.goes_on.set()
        assert await lab.go(90, lambda: not len(lab.server.gateway.calls))
        lab.tell()
        await lab.settle()
        # The beginning did take place in the end, and so did its end.
        (over,) = await lab.past()
        assert over.ended is not None
        await lab.log_in("u0", "198.51.100.2")


@in_loop
async def test_what_a_hostile_client_is_called(shared: PostgresqlServer) -> None:
    lab = KeptLab(settings_of(shared, "hostile"))
    async with lab:
        client = lab.client("u5", "198.51.100.9", host_name="a\0b\nc'; DROP TABLE sessions; --")
        assert await lab.go(10, lambda: client.state is ClientState.UP), client.why
        (now,) = await lab.past(HistoryFilter("u5"))
        assert now.host_name == "a?b?c'; DROP TABLE sessions; --"


@in_loop
async def test_days_that_are_long_over_are_forgotten(file: StateSettings) -> None:
    async with KeptLab(replace(file, keep=2)) as lab:
        client = await lab.log_in("u0", "198.51.100.1")
        client.hang_up(lab.simulation.now)
        await lab.go(90, lambda: not len(lab.server.gateway.calls))
        await lab.log_in("u1", "198.51.100.2")
        await lab.keeper.update()
        assert len(await lab.past()) == 2
        lab.began += 3 * 86400
        await lab.keeper.update()
        assert [session.login for session in await lab.past()] == ["u1"], "it is not over"


@in_loop
async def test_answers_that_nobody_waits_for(file: StateSettings) -> None:
    async with KeptLab(file) as lab:
        await lab.log_in("u0", "198.51.100.1")
        gateway: Gateway = lab.server.gateway
        (begun,) = [e for e in lab.server.events if isinstance(e, SessionBegun)]
        for answer in (None, StateError("late")):
            gateway.begun(begun.session, begun.beginning, answer, lab.simulation.now)
            gateway.begun(4711, begun.beginning, answer, lab.simulation.now)
        await lab.go(5)
        assert len(gateway.calls) == 1


@in_loop
async def test_history_by_the_control_socket(file: StateSettings) -> None:
    async with KeptLab(file) as lab:
        await lab.log_in("u0", "198.51.100.1")
        await lab.go(2)
        await lab.log_in("u1@sales.example.com", "198.51.100.2")

        async def logins(**arguments: object) -> object:
            answer = await lab.keeper.history(Request("history", arguments))  # type: ignore[arg-type]
            if not isinstance(answer.result, list):
                return answer.error
            return [row["login"] for row in answer.result if isinstance(row, dict)]

        assert await logins() == ["u1@sales.example.com", "u0"]
        assert await logins(user="u0") == ["u0"]
        assert await logins(department="sales") == ["u1@sales.example.com"]
        assert await logins(since=int(lab.wall()) + 1) == []
        assert await logins(limit=1) == ["u1@sales.example.com"]
        for wrong in ({"limit": 0}, {"limit": 10**9}, {"user": 5}, {"since": "x"}, {"x": 1}):
            assert "expected at most user" in str(await logins(**wrong))
