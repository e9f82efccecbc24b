"""The program around a gateway, where it does more than carry: a new password."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from unittest.mock import AsyncMock, Mock

import pytest

from l2gate.configuration import editing, load
from l2gate.configuration.ipv6 import AnyNetwork
from l2gate.events import Noted, PasswordChangeRequested
from l2gate.reloading import Reloader
from l2gate.server import Server

REQUEST = PasswordChangeRequested(7, 3, "bob", "new: # one")
TEXT = """\
ipsec: {psk: ZZp4u9mVbC7kTqRx3sWd8yNe}
departments: {default: {pool: 172.16.9.0/24, gateway: 172.16.9.1}}
users:
  - {name: bob, password: old, must_change_password: true}  # B
  - {name: eve, password: old}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "l2gate.yaml"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def change(
    path: Path, *requests: PasswordChangeRequested, before: Callable[[], object] = lambda: None
) -> tuple[Server, list[str], list[Noted]]:
    """Let a server store passwords; return it, what the gateway is told went wrong, and its log."""

    async def no_networks() -> list[AnyNetwork]:
        return []

    async def run() -> tuple[Server, list[str], list[Noted]]:
        noted: list[Noted] = []
        configuration = load(path).configuration
        server = Server(path, configuration)
        before()
        server._loop = asyncio.get_running_loop()
        server._sockets = Mock(__iter__=lambda self: iter(()))
        server._devices = Mock(add=AsyncMock(), follow=AsyncMock())
        server._captures = Mock(busy=False)
        gateway = server._gateway
        server._reloader = Reloader(
            path,
            configuration,
            gateway,
            server._loop.time,
            no_networks,
            server._prepare,
            server.flush,
            noted.append,
        )
        events = iter(requests)
        gateway.next_event = lambda: next(events, None)  # type: ignore[method-assign]
        gateway.password_stored = Mock()  # type: ignore[method-assign]
        server.flush()
        await asyncio.gather(*server._changes)
        await asyncio.sleep(0)
        assert not server._changes
        if server._timer is not None:
            server._timer.cancel()
        calls = gateway.password_stored.call_args_list
        assert [call.args[:2] for call in calls] == [(r.session, r.request) for r in requests]
        return server, [call.args[2] for call in calls], noted

    return asyncio.run(run())


def test_a_new_password_is_in_the_file_and_served_before_the_login_goes_on(path: Path) -> None:
    server, whys, _ = change(path, REQUEST)
    assert whys == [""]
    user = server._gateway.aaa.directory.users["bob"]
    assert user.password == "new: # one"
    assert not user.must_change_password
    assert path.read_text() == TEXT.replace("old, must_change_password: true", "'new: # one'", 1)


def test_several_at_once(path: Path) -> None:
    server, whys, _ = change(path, REQUEST, PasswordChangeRequested(8, 1, "eve", "hers"))
    assert whys == ["", ""]
    users = server._gateway.aaa.directory.users
    assert (users["bob"].password, users["eve"].password) == ("new: # one", "hers")


def test_a_password_that_cannot_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(editing.os, "fsync", fail)
    server, (why_not,), _ = change(path, REQUEST)
    assert why_not.endswith("cannot be written: No space left on device")
    assert server._gateway.aaa.directory.users["bob"].password == "old"
    assert path.read_text() == TEXT


def test_nothing_is_written_beside_the_mistakes_of_an_admin(path: Path) -> None:
    """And what should have been a secret is not told."""
    broken = TEXT.replace("password: old}", "pasword: hers}")
    server, (why_not,), _ = change(path, REQUEST, before=lambda: path.write_text(broken))
    assert "mistakes" in why_not
    assert "hers" not in why_not
    assert server._gateway.aaa.directory.users["bob"].password == "old"
    assert path.read_text() == broken


def test_the_user_is_gone_from_the_file(path: Path) -> None:
    _, (why_not,), _ = change(path, PasswordChangeRequested(7, 3, "ann", "new"))
    assert "there is no user 'ann'" in why_not


def test_the_log_does_not_have_the_password(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, _, noted = change(path, REQUEST)
    assert [str(line) for line in noted] == ["server: reloaded, 2 users, 0 sessions ended by it"]
    assert REQUEST.password not in caplog.text


def test_a_signal_during_a_reload_makes_another_one(path: Path) -> None:
    """The file may have changed after it was read."""

    async def run() -> int:
        server = Server(path, load(path).configuration)
        reading, go_on, times = asyncio.Event(), asyncio.Event(), 0

        async def reload() -> None:
            nonlocal times
            times += 1
            reading.set()
            await go_on.wait()

        server._reloader = Mock(reload=reload)
        server._on_reload()
        await reading.wait()
        server._on_reload()
        server._on_reload()
        go_on.set()
        assert server._reloading is not None
        await server._reloading
        return times

    assert asyncio.run(run()) == 2


def test_a_reload_does_not_go_on_once_the_server_has_ended(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would open devices and set what the end has put back already."""

    async def run() -> bool:
        server = Server(path, load(path).configuration)
        server._devices = Mock(names=["l2gate0"])
        for name in ("_attach", "_detach", "flush", "_watch"):
            monkeypatch.setattr(server, name, Mock())
        never = asyncio.Event()
        server._reloader = Mock(reload=never.wait)
        server._on_reload()
        server._finished.set()
        await server._serve()
        assert server._reloading is not None
        return server._reloading.done()

    assert asyncio.run(run())
