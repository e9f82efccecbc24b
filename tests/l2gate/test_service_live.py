"""The server as a service: as the unit file has it, judged by systemd, and what it tells systemd.

There is no systemd to start it here, so what the unit file grants is granted by other means.
"""

import json
import os
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import which

import pytest

from tests.support.client import ClientState
from tests.support.namespaces import new_namespace
from tests.support.prerequisites import need
from tests.support.program import L2GATE, PATIENCE, ROOT, Dialler, configure, start, wait_for

UNIT = ROOT / "packaging" / "systemd" / "l2gate.service"
SETTINGS = re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE)
NOBODY = "65534"
MOST_EXPOSED = 25
"""Tenths on the scale of `systemd-analyze security`, which goes to 100."""


def setting(name: str) -> list[str]:
    return [value for key, value in SETTINGS if key == name]


def as_the_unit_file_has_it(directory: Path) -> list[str]:
    """Return the command before a command that gives it the user's rights in the unit file.

    And one more: it may read everything, for the interpreter may be in somebody's home. As
    udev has it, everybody may open the TUN device.
    """
    need("" if which("setpriv") else "setpriv (util-linux) is not installed")
    (capabilities,) = setting("AmbientCapabilities")
    assert setting("CapabilityBoundingSet") == [capabilities]
    names = [*capabilities.split(), "CAP_DAC_READ_SEARCH"]
    sets = "-all," + ",".join(f"+{name[4:].lower()}" for name in names)
    rights = [f"--{which}={sets}" for which in ("inh-caps", "ambient-caps", "bounding-set")]
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    tun = directory / "tun"
    os.mknod(tun, stat.S_IFCHR, os.makedev(10, 200))
    tun.chmod(0o666)
    mounted = f'mount --bind {tun} /dev/net/tun && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mounted, "sh", "setpriv", *user, *rights]


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """Where the server tells systemd how it is."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.bind(str(tmp_path / "notify"))
        yield sock


def test_a_session_with_no_more_rights_than_the_service_has(
    tmp_path: Path, systemd: socket.socket
) -> None:
    log = tmp_path / "events.json"
    path = configure(tmp_path, f", event_log: {log}, user: nobody", state(tmp_path))
    give_away(tmp_path, path, tmp_path / "notify")
    environment = {"NOTIFY_SOCKET": f"{tmp_path}/notify", "WATCHDOG_USEC": "100000"}

    def told(what: str) -> str:
        while what not in (text := systemd.recv(4096).decode()):
            continue
        return text

    with new_namespace() as namespace, namespace:
        by = as_the_unit_file_has_it(tmp_path)
        server = start("serve", "--config", path, by=by, environment=environment)
        try:
            assert told("READY=1") == "READY=1\nSTATUS=0 sessions, 0 peers"
            status = Path(f"/proc/{server.pid}/status").read_text()
            assert re.search(rf"^Uid:\t{NOBODY}\t{NOBODY}\t", status, re.MULTILINE)
            with closing(Dialler()) as client:
                client.host.connect(0.0)
                client.run(lambda: client.host.state is ClientState.UP)
                assert told("WATCHDOG=1\nSTATUS=1 sessions, 1 peers")
                log.rename(tmp_path / "old")
                server.send_signal(signal.SIGHUP)
                assert told("RELOADING=1")
                assert told("READY=1")
                path.write_text("not: a configuration")
                server.send_signal(signal.SIGHUP)
                assert told("RELOADING=1")
                assert told("READY=1")
                server.terminate()
                assert told("STOPPING=1") == "STOPPING=1\nSTATUS=1 sessions to end"
                client.run(lambda: server.poll() is not None)
        finally:
            server.terminate()
            printed, _ = server.communicate(timeout=PATIENCE)
    assert server.returncode == 0, printed
    before, after = names(tmp_path / "old"), names(log)
    assert before[0] == "server-ready"
    assert before[-1] == "session-opened"
    assert after[:3] == ["reloaded", "reload-refused", "server-stopping"]
    assert after[3] == "session-ended"


def test_the_server_needs_no_system_call_that_the_service_may_not_make(tmp_path: Path) -> None:
    need("" if which("strace") and which("systemd-analyze") else "strace or systemd is missing")
    path = configure(tmp_path, f", event_log: {tmp_path}/events.json", state(tmp_path))
    trace = tmp_path / "trace"
    with new_namespace() as namespace, namespace:
        by = ["strace", "--follow-forks", "--summary-only", f"--output={trace}"]
        tracer = start("serve", "--config", path, by=by)
        try:
            wait_for((tmp_path / "control.sock").exists)
            with closing(Dialler()) as client:
                client.host.connect(0.0)
                client.run(lambda: client.host.state is ClientState.UP)
        finally:
            children = Path(f"/proc/{tracer.pid}/task/{tracer.pid}/children").read_text().split()
            subprocess.run(["kill", *children], check=True)
            tracer.communicate(timeout=PATIENCE)
    made = set(re.findall(r"(\w+)$", trace.read_text(), re.MULTILINE)) - {"syscall", "total"}
    allowed, forbidden = setting("SystemCallFilter")
    assert {"recvmmsg", "fdatasync"} <= made
    # SQLite gives its journal the owner of its file, but only as root, which the service is not.
    made.remove("fchown")
    assert made <= calls(*allowed.split()) - calls(*forbidden.removeprefix("~").split())


def test_systemd_finds_no_fault_in_the_unit_file(tmp_path: Path) -> None:
    need("" if which("systemd-analyze") else "systemd is not installed")
    unit = tmp_path / UNIT.name
    (command,) = setting("ExecStart")
    unit.write_text(UNIT.read_text().replace(command.split()[0], L2GATE[0]))
    done = systemd_analyze("verify", "--man=no", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    done = systemd_analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", unit)
    assert done.returncode == 0, done.stdout


def state(directory: Path) -> str:
    return f"state: {{file: {directory}/state.db}}\n"


def give_away(*paths: Path) -> None:
    subprocess.run(["chown", NOBODY, *paths], check=True)


def names(log: Path) -> list[str]:
    return [json.loads(line)["event"] for line in log.read_text().splitlines()]


def calls(*groups: str) -> set[str]:
    """Return the system calls in systemd's groups, and those in groups within them."""
    found = set[str]()
    for group in groups:
        for line in systemd_analyze("syscall-filter", group).stdout.splitlines()[1:]:
            name = line.strip()
            if name.startswith("@"):
                found |= calls(name)
            elif name and not name.startswith("#"):
                found.add(name)
    return found


def systemd_analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
