"""The program itself is killed in the middle of a session, and started again."""

import json
import stat
import subprocess
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path

from tests.support.client import ClientState
from tests.support.namespaces import new_namespace
from tests.support.program import (
    L2GATE,
    PATIENCE,
    ROOT,
    USER,
    Dialler,
    answers,
    configure,
    start,
    wait_for,
)


def history(directory: Path) -> list[dict[str, object]]:
    command = [*L2GATE, "history", "--json", "--user", USER, "--since", "1h"]
    done = subprocess.run(
        [*command, f"--socket={directory}/control.sock"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=PATIENCE,
    )
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def dial(directory: Path, kill: bool) -> IPv4Address | None:
    """Serve one client, and end in the middle of its session; return its address."""
    server = start("serve", "--config", directory / "l2gate.yaml")
    try:
        wait_for(lambda: answers(directory / "control.sock"))
        with closing(Dialler()) as client:
            client.host.connect(0.0)
            client.run(lambda: client.host.state is ClientState.UP)
            assert history(directory)[0]["ended"] is None
            if kill:
                server.kill()
            else:
                server.terminate()
                client.run(lambda: server.poll() is not None)
            return client.host.address
    finally:
        server.kill()
        server.communicate(timeout=PATIENCE)


def test_the_server_is_killed_in_mid_use(tmp_path: Path) -> None:
    file = tmp_path / "state" / "state.db"
    path = configure(tmp_path, sections=f"state: {{file: {file}}}\n")
    with new_namespace() as namespace, namespace:
        address = dial(tmp_path, kill=True)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert dial(tmp_path, kill=False) == address
        server = start("serve", "--config", path)
        try:
            wait_for(lambda: answers(tmp_path / "control.sock"))
            assert [session["why"] for session in history(tmp_path)] == [
                "the server is shutting down",
                "the server was restarted",
            ]
        finally:
            server.terminate()
            server.communicate(timeout=PATIENCE)
