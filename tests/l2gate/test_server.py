"""The program around a gateway, where it does more than carry: a new password."""

import asyncio
from ipaddress import IPv4Network
from pathlib import Path
from unittest.mock import Mock

import pytest

from l2gate.configuration import ConfigurationError, load
from l2gate.events import PasswordChangeRequested
from l2gate.server import Server, StorePassword

REQUEST = PasswordChangeRequested(7, 3, "bob", "new")
TEXT = """\
ipsec: {psk: ZZp4u9mVbC7kTqRx3sWd8yNe}
departments: {default: {pool: 172.16.9.0/24, gateway: 172.16.9.1}}
users: [{name: bob, password: old, must_change_password: true}]
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    async def no_networks(without: str = "") -> list[IPv4Network]:
        return []

    monkeypatch.setattr("l2gate.server.own_networks", no_networks)
    path = tmp_path / "l2gate.yaml"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def change(path: Path, store: StorePassword) -> tuple[Server, str]:
    """Let a server store a password; return it, and what the gateway is told went wrong."""

    async def run() -> tuple[Server, str]:
        server = Server(path, load(path).configuration, store)
        server._loop = asyncio.get_running_loop()
        server._network = server._tun = server._sockets = Mock(__iter__=lambda self: iter(()))
        events = iter([REQUEST])
        gateway = server._gateway
        gateway.next_event = lambda: next(events, None)  # type: ignore[method-assign]
        gateway.password_stored = Mock()  # type: ignore[method-assign]
        server.flush()
        (task,) = server._stores
        await task
        await asyncio.sleep(0)
        assert not server._stores
        if server._timer is not None:
            server._timer.cancel()
        (call,) = gateway.password_stored.call_args_list
        session, request, why_not, _ = call.args
        assert (session, request) == (7, 3)
        return server, why_not

    return asyncio.run(run())


def test_a_new_password_is_served_before_the_login_goes_on(path: Path) -> None:
    def store(name: str, password: str) -> None:
        assert (name, password) == ("bob", "new")
        path.write_text(TEXT.replace("old, must_change_password: true", password))

    server, why_not = change(path, store)
    assert why_not == ""
    user = server._gateway.aaa.directory.users["bob"]
    assert user.password == "new"
    assert not user.must_change_password


@pytest.mark.parametrize("error", [OSError(28, "No space left"), ConfigurationError([])])
def test_a_password_that_cannot_be_stored(path: Path, error: Exception) -> None:
    def store(name: str, password: str) -> None:
        raise error

    server, why_not = change(path, store)
    assert why_not == (str(error) or "ConfigurationError")
    assert server._gateway.aaa.directory.users["bob"].password == "old"


def test_a_file_that_cannot_be_loaded_afterwards(path: Path) -> None:
    _, why_not = change(path, lambda name, password: path.write_text("users: 1") and None)
    assert "cannot be loaded" in why_not
