"""What the keeper does for many sessions at once does not hold up the others."""

import asyncio
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from l2gate import keeper
from l2gate.configuration.model import StateSettings
from l2gate.control import Json, Request
from l2gate.state import Beginning, Ending, HistoryFilter, PastSession, Store, Traffic
from tests.support.state import WALL, KeptLab

OLD = 1_000_000


def settings(directory: Path) -> StateSettings:
    return StateSettings(directory / "state.db", None, "one", 1)


def test_logins_need_not_wait_until_all_sessions_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "PORTION", 2)
    order: list[str] = []
    carried = [(f"a-{number}", Traffic()) for number in range(5)]

    def update(self: Store, some: Iterable[tuple[str, Traffic]], time: int, interim: bool) -> None:
        order.extend(name for name, _ in some)

    async def whole() -> None:
        async with KeptLab(settings(tmp_path)) as lab:
            monkeypatch.setattr(Store, "update", update)
            monkeypatch.setattr(lab.keeper, "_carried", lambda: carried)
            updating = asyncio.create_task(lab.keeper.update())
            await asyncio.sleep(0)
            await lab.keeper._worker.ask(lambda: order.append("a login"))
            await updating

    asyncio.run(whole())
    assert order == ["a-0", "a-1", "a login", "a-2", "a-3", "a-4"]


def test_all_old_days_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "PORTION", 2)

    async def whole() -> list[PastSession]:
        async with KeptLab(settings(tmp_path)) as lab:
            store = lab.keeper._store
            for number, time in enumerate([OLD] * 5 + [WALL]):
                session = Beginning(f"a-{number}", "bob", "x", "172.16.9.2", "c", "h", time)
                await lab.keeper._worker.ask(lambda session=session: store.begin(session))  # type: ignore[misc]
                ending = Ending(f"a-{number}", time, "over")
                await lab.keeper._worker.ask(lambda ending=ending: store.end(ending))  # type: ignore[misc]
            await lab.keeper.update()
            return await lab.past(HistoryFilter())

    assert [session.id for session in asyncio.run(whole())] == ["a-5"]


def test_packets_go_on_while_a_long_history_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def to_json(sessions: Sequence[PastSession]) -> Json:
        threads.append(threading.current_thread())
        return []

    async def whole() -> None:
        monkeypatch.setattr(keeper, "sessions_to_json", to_json)
        async with KeptLab(settings(tmp_path)) as lab:
            assert (await lab.keeper.history(Request("history"))).result == []

    asyncio.run(whole())
    assert threads
    assert threading.main_thread() not in threads
