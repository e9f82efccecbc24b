"""The firewall of a running server: it follows sessions and reloads, and leaves nothing behind."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from l2gate.control import Request, ask
from tests.support.client import ClientState
from tests.support.namespaces import new_namespace, run
from tests.support.program import PATIENCE, SERVER, Dialler, answers, configure, start, wait_for


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    with new_namespace() as namespace, namespace:
        yield


def serving(directory: Path, path: Path) -> subprocess.Popen[str]:
    server = start("serve", "--config", path)
    wait_for(lambda: server.poll() is not None or answers(directory / "control.sock"))
    return server


def stop(server: subprocess.Popen[str]) -> str:
    server.terminate()
    printed, _ = server.communicate(timeout=PATIENCE)
    return printed


def table() -> str:
    return run("nft list ruleset")


def test_it_follows_sessions_and_reloads_and_goes_with_the_server(tmp_path: Path) -> None:
    path = configure(tmp_path)
    server = serving(tmp_path, path)
    try:
        assert "hosts_default" in table()
        with closing(Dialler()) as client:
            client.host.connect(0.0)
            client.run(lambda: client.host.state is ClientState.UP)
            client.run(lambda: str(client.host.address) in table())
            text = path.read_text()
            only = "{to: 192.168.1.80, proto: tcp, ports: [443, 8000-8100]}"
            path.write_text(text.replace("172.16.9.1}", f"172.16.9.1, allow: [{only}]}}"))
            server.send_signal(signal.SIGHUP)
            client.run(lambda: "tcp dport { 443, 8000-8100 } accept" in table())
            assert str(client.host.address) in table(), "who is there stays there"
            client.host.hang_up(0.0)
            client.run(lambda: str(client.host.address) not in table())
    finally:
        printed = stop(server)
    assert server.returncode == 0, printed
    assert table() == ""


def test_a_killed_server_leaves_a_table_that_the_next_one_replaces(tmp_path: Path) -> None:
    path = configure(tmp_path)
    server = serving(tmp_path, path)
    server.kill()
    server.communicate(timeout=PATIENCE)
    assert "hosts_default" in table()
    run("nft add chain inet l2gate old")
    server = serving(tmp_path, path)
    replaced = table()
    stop(server)
    assert "hosts_default" in replaced
    assert "chain old" not in replaced


def test_packets_that_another_table_keeps_from_leaving_are_counted(tmp_path: Path) -> None:
    server = serving(tmp_path, configure(tmp_path))
    try:
        run("nft add table ip other")
        run("nft add chain ip other out { type filter hook output priority 0; }")
        run(f"nft add rule ip other out ip saddr {SERVER} udp sport 500 drop")

        def drops() -> dict[str, int]:
            response = ask(tmp_path / "control.sock", Request("status"))
            assert isinstance(response.result, dict)
            return response.result["drops"]

        assert drops() == {}
        with closing(Dialler()) as client:
            client.host.connect(0.0)
            client.run(lambda: drops() != {})
        assert drops().keys() == {"not sent: EPERM"}
    finally:
        stop(server)


def test_without_firewall_there_is_no_table(tmp_path: Path) -> None:
    run("nft add table inet l2gate")
    server = serving(tmp_path, configure(tmp_path, ", firewall: false"))
    try:
        assert table() == ""
    finally:
        stop(server)


def test_without_nft_the_server_does_not_start(tmp_path: Path) -> None:
    server = start("serve", "--config", configure(tmp_path), environment={"PATH": str(tmp_path)})
    printed, _ = server.communicate(timeout=PATIENCE)
    assert server.returncode == 1
    assert "install the package nftables, or set server.firewall to false" in printed
    assert "Traceback" not in printed
