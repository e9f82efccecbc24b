"""Accounting that survives: real clients, a real keeper and store, servers that come and go."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from aaa import Source
from aaa.radius.client import Datagram
from aaa.radius.constants import AcctTerminateCause, AttributeType, Code
from aaa.radius.packet import Attribute, Packet
from l2gate.configuration.model import StateSettings
from l2gate.control import Request, Response
from l2gate.operations import Operations
from l2gate.reports import status_from_json, status_text
from l2gate.state import Sqlite, Store
from ppp.config import Method
from tests.support.accounting import (
    ACCOUNTING,
    SETTINGS,
    Accountant,
    log_in_anew,
    status,
    text,
)
from tests.support.client import ClientHost, ClientState
from tests.support.lab import PASSWORD, Lab, assert_passes_traffic, configuration
from tests.support.loops import in_loop
from tests.support.radius_lab import RadiusLab, accepting, asking
from tests.support.state import WALL, Full, KeptLab

USER_NAME, SESSION_ID = AttributeType.USER_NAME, AttributeType.ACCT_SESSION_ID


@pytest.fixture
def file(tmp_path: Path) -> StateSettings:
    return StateSettings(tmp_path / "state.db", None, "one", 365)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2gate.keeper.PAUSE", 0.02)


def lab_for(file: StateSettings, accountant: Accountant, **options: object) -> KeptLab:
    return KeptLab(file, radius=SETTINGS, answer=accountant, **options)  # type: ignore[arg-type]


async def hang_up(lab: KeptLab, client: ClientHost) -> None:
    before = len(lab.server.gateway.calls)
    client.hang_up(lab.simulation.now)
    assert await lab.go(90, lambda: len(lab.server.gateway.calls) < before)


def names(accountant: Accountant) -> list[tuple[str, str]]:
    return [(text(one, USER_NAME), status(one)) for one in accountant.requests]


def waiting(file: StateSettings) -> list[str]:
    """Return what waits in the database."""
    database = Sqlite(file.file or "")
    found = [report.status for report in Store(database, file.gateway).reports(1000)]
    database.close()
    return found


CLASS = Attribute(AttributeType.CLASS, b"\0\xff gold")
GRANTING = replace(SETTINGS, servers=(replace(ACCOUNTING, port=1812),))


class Granting(Accountant):
    """One that is asked about logins, too, and lets everybody in."""

    def __call__(self, request: Datagram) -> bytes | None:
        if Packet.parse(request.data).code == Code.ACCESS_REQUEST:
            return accepting(CLASS)(request)
        return super().__call__(request)


def by_pap(lab: Lab) -> dict[str, object]:
    """Let the server ask for, and the client have, the simplest method."""
    calls = lab.server.gateway.calls
    calls._links = replace(calls._links, methods=(Method.PAP,))

    def prepare(client: ClientHost) -> None:
        client._link_config = replace(client._link_config, methods=(Method.PAP,))

    return {"prepare": prepare}


@in_loop
async def test_a_session_with_state_is_told_of_as_one_without(file: StateSettings) -> None:
    """What the store has kept of a report is all that is in one."""

    async def life(lab: KeptLab | RadiusLab, accountant: Accountant) -> list[Packet]:
        async def go(seconds: float) -> None:
            if isinstance(lab, KeptLab):
                await lab.go(seconds)
            else:
                lab.run(seconds)

        client = lab.client("u0", host_name="a laptop", **by_pap(lab))  # type: ignore[arg-type]
        await go(10)
        assert_passes_traffic(lab, client)
        await go(700)
        client.hang_up(lab.simulation.now)
        await go(60)
        return [one for one in accountant.requests if text(one, USER_NAME) == "u0"]

    def said(packet: Packet) -> list[tuple[int, bytes]]:
        left_out = (
            *(SESSION_ID, AttributeType.NAS_PORT, AttributeType.EVENT_TIMESTAMP),
            *(AttributeType.ACCT_SESSION_TIME, AttributeType.ACCT_DELAY_TIME),
        )
        return [(a.type, a.value) for a in packet.attributes if a.type not in left_out]

    there, here = Granting(), Granting()
    expected = await life(RadiusLab(GRANTING, answer=there), there)
    directory = asking(configuration().directory)
    async with KeptLab(file, directory, radius=GRANTING, answer=here) as lab:
        found = await life(lab, here)
        (past,) = await lab.past()
    assert [status(one) for one in found] == ["START", "INTERIM_UPDATE", "STOP"]
    assert {text(one, SESSION_ID) for one in found} == {past.id}, "one id everywhere"
    for one, other in zip(found, expected, strict=True):
        assert said(one) == said(other)
        assert (CLASS.type, CLASS.value) in said(one)
        assert abs(_duration(one) - _duration(other)) <= 1
    assert past.ended is not None
    assert past.opened is not None
    assert _duration(found[-1]) == past.ended - past.opened
    assert waiting(file) == []


def _duration(packet: Packet) -> int:
    return packet.attributes.number(AttributeType.ACCT_SESSION_TIME) or 0


@in_loop
async def test_after_a_crash_the_old_comes_first_and_then_accounting_on(
    file: StateSettings,
) -> None:
    accountant = Accountant()
    lab = await lab_for(file, accountant).__aenter__()
    stays = await lab.log_in("u0", "198.51.100.1")
    leaves = await lab.log_in("u1", "198.51.100.2")
    assert_passes_traffic(lab, stays)
    await lab.keeper.update()
    await lab.go(5)
    assert names(accountant)[1:] == [("u0", "START"), ("u1", "START")]
    accountant.up = False
    await hang_up(lab, leaves)
    await lab.log_in("u2", "198.51.100.3")
    await lab.go(100)
    await lab.crash()
    assert waiting(file) == ["Stop", "Start"]
    accountant.up, accountant.requests = True, []
    async with lab_for(file, accountant, wall=WALL + 5000) as again:
        await again.log_in("u0", "198.51.100.1")
        await again.go(5)
        found = names(accountant)
        assert found[3:] == [("u2", "STOP"), ("", "ACCOUNTING_ON"), ("u0", "START")] or (
            found[4:] == [("", "ACCOUNTING_ON"), ("u0", "START")]
        )
        assert sorted(found[:4]) == [
            *(("u0", "STOP"), ("u1", "STOP"), ("u2", "START"), ("u2", "STOP"))
        ]
        assert found.index(("u2", "START")) < found.index(("u2", "STOP"))
        (stop,) = [one for one in accountant.told("STOP") if text(one, USER_NAME) == "u0"]
        cause = stop.attributes.number(AttributeType.ACCT_TERMINATE_CAUSE)
        assert cause == AcctTerminateCause.NAS_REBOOT
        assert (stop.attributes.number(AttributeType.ACCT_INPUT_PACKETS) or 0) == 1
        assert (stop.attributes.number(AttributeType.ACCT_DELAY_TIME) or 0) > 4000
        ids = {past.id for past in await again.past()}
        assert {text(one, SESSION_ID) for one in accountant.requests[:4]} <= ids
    assert len(set(accountant.of_sessions())) == len(accountant.of_sessions())


@in_loop
async def test_a_server_that_is_down_for_two_runs_hears_of_both_in_order(
    file: StateSettings,
) -> None:
    accountant = Accountant(up=False)
    for run in range(2):
        lab = await lab_for(file, accountant, wall=WALL + 5000 * run).__aenter__()
        await lab.log_in(f"u{run}", "198.51.100.1")
        await lab.go(100)
        await lab.crash()
    accountant.up = True
    async with lab_for(file, accountant, wall=WALL + 10000) as lab:
        await lab.log_in("u2", "198.51.100.1")
        await lab.go(5)
    assert names(accountant)[:6] == [
        *(("u0", "START"), ("u1", "START"), ("u0", "STOP"), ("u1", "STOP")),
        *(("", "ACCOUNTING_ON"), ("u2", "START")),
    ]


@in_loop
async def test_a_server_that_is_silent_at_first_hears_accounting_on_before_all(
    file: StateSettings,
) -> None:
    accountant = Accountant(up=False)
    async with lab_for(file, accountant) as lab:
        client = await lab.log_in("u0", "198.51.100.1")
        await lab.go(100)
        accountant.up = True
        await hang_up(lab, client)
        await lab.go(60)
        assert names(accountant) == [("", "ACCOUNTING_ON"), ("u0", "START"), ("u0", "STOP")]
        assert lab.server.noted("answers again")


@in_loop
async def test_what_a_server_has_and_the_store_does_not_know_of_is_sent_again(
    file: StateSettings,
) -> None:
    """The acknowledgement is lost, or the power fails before it is written down."""
    accountant = Accountant(mute=True)
    lab = await lab_for(file, accountant).__aenter__()
    accountant.mute = False
    await lab.log_in("u0", "198.51.100.1")
    accountant.mute = True
    await lab.go(20)
    await lab.crash()
    accountant.mute = False
    async with lab_for(file, accountant, wall=WALL + 100) as again:
        await again.go(5)
    events = Counter(
        (text(one, SESSION_ID), status(one), one.attributes.number(AttributeType.EVENT_TIMESTAMP))
        for one in accountant.requests
        if text(one, USER_NAME)
    )
    assert sorted(which for _, which, _ in events) == ["START", "STOP"]
    assert max(events.values()) > 1, "it was sent again, and is the same"


@in_loop
async def test_a_shutdown_waits_until_the_stops_are_through(file: StateSettings) -> None:
    accountant = Accountant()
    async with lab_for(file, accountant) as lab:
        for number in range(3):
            await lab.log_in(f"u{number}", f"198.51.100.{number + 1}")
        lab.server.gateway.shut_down(lab.simulation.now)
        assert await lab.go(10, lambda: lab.server.finished)
        told = [which for _, which in names(accountant)[4:]]
        assert told == ["STOP", "STOP", "STOP", "ACCOUNTING_OFF"]
    assert waiting(file) == []


@in_loop
async def test_a_database_that_is_away_only_delays_reports(file: StateSettings) -> None:
    assert file.file is not None
    disk, accountant = Full(file.file), Accountant()
    async with lab_for(file, accountant, database=disk) as lab:
        stays = await lab.log_in("u0", "198.51.100.1")
        leaves = await lab.log_in("u1", "198.51.100.2")
        await lab.go(5)
        disk.full = True
        await lab.log_in("u2", "198.51.100.3")
        await hang_up(lab, leaves)
        await lab.go(3000)
        assert_passes_traffic(lab, stays)
        assert len(accountant.requests) == 3
        disk.full = False
        while lab.keeper._worker.fault is not None:
            await asyncio.sleep(0.01)
        await lab.go(5)
        assert sorted(names(accountant)[3:]) == [
            ("u0", "INTERIM_UPDATE"),
            ("u1", "STOP"),
            ("u2", "INTERIM_UPDATE"),
            ("u2", "START"),
        ], "of the interim updates the last alone"
        (update,) = [
            one for one in accountant.told("INTERIM_UPDATE") if text(one, USER_NAME) == "u0"
        ]
        assert update.attributes.number(AttributeType.ACCT_INPUT_PACKETS) == 1


@in_loop
async def test_the_status_says_what_answers(file: StateSettings) -> None:
    assert file.file is not None
    disk, accountant = Full(file.file), Accountant(up=False)
    async with lab_for(file, accountant, database=disk) as lab:
        gateway, clock = lab.server.gateway, lambda: lab.simulation.now
        operations = Operations(
            configuration(), gateway, clock, lab.wall, lambda: None, state=lab.keeper.status
        )

        def said() -> list[str]:
            answer = operations.handle(Request("status"))
            assert isinstance(answer, Response)
            result = Response.parse(answer.build()).result
            return status_text(status_from_json(result)).splitlines()[2:5]

        await lab.log_in("u0", "198.51.100.1")
        await lab.go(20)
        assert said() == [
            f"state in SQLite, {file.file}: answers",
            "RADIUS 192.0.2.10:1813 for accounting: does not answer",
            "1 reports wait for a RADIUS server",
        ]
        accountant.up, disk.full = True, True
        await lab.go(60)
        await lab.keeper.update()
        assert said()[:2] == [
            f"state in SQLite, {file.file}: does not answer: database or disk is full",
            "RADIUS 192.0.2.10:1813 for accounting: answers",
        ]
        disk.full = False
        await lab.keeper.update()
        assert await lab.go(600, lambda: said()[2] == "0 reports wait for a RADIUS server")


@in_loop
async def test_a_full_queue_loses_starts_and_stops_last(
    file: StateSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("l2gate.keeper.MAX_STORED", 2)
    async with lab_for(file, Accountant(up=False)) as lab:
        client = await lab.log_in("u0", "198.51.100.1")
        await lab.go(1300)
        assert waiting(file) == ["Start", "Interim-Update", "Interim-Update"]
        await hang_up(lab, client)
        await lab.keeper.update()
        assert waiting(file) == ["Start", "Stop"]
        assert "lost" not in caplog.text
        await lab.log_in("u1", "198.51.100.1")
        await lab.keeper.update()
        assert waiting(file) == ["Stop", "Start"]
        assert "1 RADIUS reports of starts and stops are lost" in caplog.text
        assert lab.server.gateway.radius.accounting.queue.waiting == 2


@in_loop
async def test_more_reports_than_are_at_hand_at_one_time(file: StateSettings) -> None:
    accountant = Accountant(up=False)
    lab = await lab_for(file, accountant).__aenter__()
    for number in range(3):
        client = await lab.log_in(f"u{number}", "198.51.100.1")
        await hang_up(lab, client)
        lab.simulation.remove(client)
    await lab.crash()
    database = Sqlite(file.file or "")
    with database.transaction() as transaction:
        for copy in range(40):
            transaction.run(
                "INSERT INTO reports (gateway, session, status, time, cause, octets_in, "
                "octets_out, packets_in, packets_out) SELECT gateway, session, status, time + ?, "
                "cause, octets_in, octets_out, packets_in, packets_out FROM reports WHERE id <= 6",
                copy + 1,
            )
    database.close()
    accountant.up = True
    async with lab_for(file, accountant, wall=WALL + 5000) as again:
        await again.log_in("u9", "198.51.100.9")
        await again.go(30)
        told = [which for _, which in names(accountant)]
        assert told[-2:] == ["ACCOUNTING_ON", "START"]
        assert len(told) == 6 * 41 + 2
    assert waiting(file) == []


# Somebody else on the same call


def events_of_a_change(found: list[Packet]) -> None:
    """Two sessions, one after the other, and each with what it has carried itself."""
    ids = list(dict.fromkeys(text(one, SESSION_ID) for one in found))
    assert len(ids) == 2
    packets = AttributeType.ACCT_INPUT_PACKETS
    assert [
        (ids.index(text(one, SESSION_ID)), text(one, USER_NAME), status(one)) for one in found
    ] == [(0, "u0", "START"), (0, "u0", "STOP"), (1, "u1", "START"), (1, "u1", "STOP")]
    assert [one.attributes.number(packets) for one in found] == [None, 2, None, 1]
    first, second = found[1].attributes, found[3].attributes
    assert first.number(AttributeType.ACCT_TERMINATE_CAUSE) == AcctTerminateCause.USER_REQUEST
    address = AttributeType.FRAMED_IP_ADDRESS
    assert first.address(address) is not None
    assert second.address(address) is not None


@pytest.mark.parametrize("source", Source)
def test_somebody_else_on_the_same_call_is_another_session(source: Source) -> None:
    accountant = Granting()
    lab = RadiusLab(GRANTING, (source,), answer=accountant)
    calls = lab.server.gateway.calls
    client = lab.log_in("u0", PASSWORD, **by_pap(lab))
    assert client.state is ClientState.UP, client.why
    for number in range(2):
        assert_passes_traffic(lab, client, number)
    log_in_anew(lab, client, "u1")
    assert lab.run(10, lambda: [call.user for call in calls] == ["u1"] and _open(lab))
    lab.run(1)
    assert_passes_traffic(lab, client, 2)
    log_in_anew(lab, client, "u1")
    lab.run(10)
    client.hang_up(lab.simulation.now)
    lab.run(60)
    found = accountant.requests[1:]
    events_of_a_change(found)
    asked = [Packet.parse(one.data) for one in lab.sent if one.server != ACCOUNTING]
    first, second = (text(one, SESSION_ID) for one in (found[0], found[2]))
    expected = [first, second, second] if source is Source.RADIUS else []
    assert [text(one, SESSION_ID) for one in asked] == expected, "as it is accounted"


def _open(lab: RadiusLab | KeptLab) -> bool:
    return all(call.is_open for call in lab.server.gateway.calls)


@in_loop
async def test_somebody_else_on_the_same_call_is_another_session_in_the_store(
    file: StateSettings,
) -> None:
    accountant = Accountant()
    async with lab_for(file, accountant) as lab:
        client = await lab.log_in("u0", "198.51.100.1")
        for number in range(2):
            assert_passes_traffic(lab, client, number)
        log_in_anew(lab, client, "u1")
        calls = lab.server.gateway.calls
        assert await lab.go(10, lambda: [call.user for call in calls] == ["u1"] and _open(lab))
        await lab.go(1)
        assert_passes_traffic(lab, client, 2)
        await hang_up(lab, client)
        await lab.go(5)
        events_of_a_change(accountant.requests[1:])
        past = {session.id: session for session in await lab.past()}
        assert list(past) != []
        for stop in accountant.told("STOP"):
            session = past[text(stop, SESSION_ID)]
            assert session.login == text(stop, USER_NAME)
            packets = stop.attributes.number(AttributeType.ACCT_INPUT_PACKETS)
            assert session.traffic.packets_in == packets
            assert session.ended == stop.attributes.number(AttributeType.EVENT_TIMESTAMP)
