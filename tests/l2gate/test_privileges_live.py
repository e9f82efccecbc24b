"""The program gives root away after its start: as the kernel sees it, and what it can still do."""

import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from l2gate.privileges import SystemUser
from ppp.authentication import Send
from ppp.config import Credentials, Method
from tests.support.client import ClientState
from tests.support.namespaces import new_namespace, run
from tests.support.password_change import NEW, ChangingPeer
from tests.support.program import (
    L2GATE,
    PATIENCE,
    USER,
    Dialler,
    answers,
    configure,
    start,
    wait_for,
)
from tests.support.unprivileged import open_directory, readable_by_all
from wire import Entropy

NOBODY = SystemUser.named("nobody")
KEPT = (1 << 10) | (1 << 12)
"""CAP_NET_BIND_SERVICE and CAP_NET_ADMIN."""


@pytest.fixture
def place() -> Iterator[Path]:
    with new_namespace() as namespace, namespace, open_directory() as directory:
        yield directory


def configured(place: Path, users: str = "") -> Path:
    """Write a configuration that nobody can read, and places that are nobody's."""
    own = place / "own"
    own.mkdir()
    shutil.chown(own, NOBODY.name)
    (place / "etc").mkdir()
    path = configure(
        place / "etc",
        f", user: {NOBODY.name}, event_log: {own}/events.json",
        f"state: {{file: {place}/state/state.db}}\n",
    )
    text = path.read_text().replace(f"{place}/etc/control.sock", f"{place}/run/control.sock")
    path.write_text(text.replace("}]\n", f"{users}}}]\n"))
    path.chmod(0o640)
    shutil.chown(path, group=NOBODY.group)
    return path


class Served:
    """The server as root started it, with groups of root's; `printed` is there in the end."""

    def __init__(self, path: Path, *by: str) -> None:
        self.control = path.parent.parent / "run" / "control.sock"
        mounts = path.parent.parent / "mounts"
        mounts.mkdir(exist_ok=True)
        by = ("setpriv", "--groups=0,4,24", *readable_by_all(mounts), *by)
        self.process = start("serve", "--config", path, by=by)
        self.printed = ""

    def __enter__(self) -> "Served":
        wait_for(lambda: answers(self.control) or self.process.poll() is not None)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.printed, _ = self.process.communicate(timeout=PATIENCE)


def command(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*L2GATE, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def statuses(pid: int) -> list[dict[str, str]]:
    """Return /proc/PID/status of each thread."""
    found = Path(f"/proc/{pid}/task").glob("*/status")
    return [dict(re.findall(r"^(\w+):\t(.*?)\s*$", each.read_text(), re.M)) for each in found]


def test_what_is_left_of_root(place: Path) -> None:
    path = configured(place)
    with Served(path) as server, closing(Dialler()) as client:
        log_in(client)
        threads = statuses(server.process.pid)
        assert len(threads) > 2, "those of the event log and the state are there"
        for thread in threads:
            assert thread["Uid"].split() == [str(NOBODY.uid)] * 4
            assert thread["Gid"].split() == [str(NOBODY.gid)] * 4
            assert {int(group) for group in thread["Groups"].split()} == set(NOBODY.groups)
            assert thread["NoNewPrivs"] == "1"
            for kind in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"):
                assert int(thread[kind], 16) == KEPT, kind
        made = server.control.parent, server.control, place / "state", place / "state" / "state.db"
        for file in made:
            assert file.stat().st_uid == NOBODY.uid, file
        assert [stat.S_IMODE(file.stat().st_mode) for file in made] == [0o755, 0o600, 0o700, 0o600]
        server.process.terminate()
        client.run(lambda: server.process.poll() is not None)
    assert server.process.returncode == 0, server.printed
    assert "WARNING" not in server.printed
    assert not server.control.exists()
    assert "l2gate" not in run("nft list tables")
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == "0\n"


def test_what_it_goes_on_to_do(place: Path) -> None:
    path = configured(place)
    events = place / "own" / "events.json"
    with Served(path) as server, closing(Dialler()) as client:
        log_in(client)
        address = str(client.host.address)
        wait_for(lambda: address in run("nft list table inet l2gate"))
        wait_for(lambda: address in run("ip route show dev l2gate0"))
        department = "hr: {domains: [hr], pool: 172.16.2.0/24, gateway: 172.16.2.1}"
        text = path.read_text().replace("departments: {", f"departments: {{{department}, ")
        path.write_text(text)
        done = command("user", "add", "ann@hr", "--generate", "--config", path)
        assert done.stdout.endswith("the server has reloaded\n"), done
        assert path.stat().st_uid == 0
        wait_for(lambda: "172.16.2.1" in run("ip addr show dev l2gate0"))
        wait_for(lambda: "from_hr" in run("nft list table inet l2gate"))
        assert address in run("nft list table inet l2gate")
        events.rename(place / "own" / "old")
        server.process.send_signal(signal.SIGHUP)
        wait_for(events.exists)
        assert command("disconnect", USER, "--socket", server.control).returncode == 0
        client.run(lambda: client.host.state is ClientState.CLOSED)
        wait_for(lambda: address not in run("nft list table inet l2gate"))
    assert "WARNING" not in server.printed


def test_it_cannot_read_what_is_for_root(place: Path) -> None:
    path = configured(place)
    with Served(path) as server:
        text = path.read_text()
        path.write_text(text.replace("ipsec: {psk: ", "ipsec: {psk_file: /etc/shadow} # "))
        done = command("reload", "--socket", server.control)
        assert done.returncode == 1
        assert "/etc/shadow cannot be read: Permission denied" in done.stderr
        path.write_text(text)
        further = place / "etc" / "conf.d"
        further.mkdir(mode=0o700)
        done = command("reload", "--socket", server.control)
        assert done.returncode == 1, "users that are not to be seen must not be gone"
        assert f"{further}: cannot be read: Permission denied" in done.stderr


@pytest.mark.parametrize("may_write", [True, False])
def test_a_user_changes_the_password(
    place: Path, may_write: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ppp.link.ChapPeer", changing_peer)
    path = configured(place, ", must_change_password: true")
    if may_write:
        for mine in (path, path.parent):
            shutil.chown(mine, NOBODY.name, NOBODY.group)
    with Served(path) as server, closing(Dialler()) as client:
        client.host.connect(0.0)
        client.run(lambda: client.host.state is not ClientState.CONNECTING)
        assert (client.host.state is ClientState.UP) is may_write, client.host.why
    assert (f"password: '{NEW}'" in path.read_text()) is may_write
    mend = f"nobody cannot write {path}: chown -R nobody: {path.parent}\n"
    assert (mend in server.printed) is not may_write, server.printed


def changing_peer(
    method: Method, credentials: Credentials, entropy: Entropy, send: Send
) -> ChangingPeer:
    return ChangingPeer(credentials, entropy, send, NEW)


def test_all_that_the_user_may_not_is_said_with_its_mend(place: Path) -> None:
    path = configured(place)
    path.chmod(0o600)
    (place / "run").mkdir()
    (place / "state").mkdir(mode=0o700)
    (place / "own" / "events.json").touch()
    (place / "own").chmod(0o555)
    shutil.chown(place / "own", "root")
    by = [*readable_by_all(made(place / "mounts")), *L2GATE, "check", "--config", str(path)]
    done = subprocess.run(by, capture_output=True, text=True, check=False, timeout=PATIENCE)
    own = "let it be a directory of the server's own, and chown nobody:"
    anew = "let it be in a directory of the server's own, and chown nobody:"
    assert done.stdout.splitlines() == [
        f"{path}: error: server.user: {line}"
        if line
        else f"{path}: error: cannot be read: Permission denied"
        for line in (
            f"nobody cannot make files in {place}/run: {own} {place}/run",
            f"nobody cannot make files in {place}/state: {own} {place}/state",
            f"nobody cannot write {place}/own/events.json: chown nobody: {place}/own/events.json*",
            f"nobody cannot make {place}/own/events.json anew after it is renamed: {anew} "
            f"{place}/own",
            "",
            f"nobody must be able to read these files: chgrp {NOBODY.group} FILE && chmod g+r "
            "FILE (g+rx for a directory)",
        )
    ]
    assert done.returncode == 1
    with Served(path) as server:
        pass
    assert server.process.returncode == 1
    assert all(line.partition(" error: ")[2] in server.printed for line in done.stdout.splitlines())
    assert "l2gate0" not in run("ip link show")


@pytest.mark.parametrize(
    ("by", "why"),
    [
        (("--reuid=bin", "--clear-groups"), "server.user is nobody, and only root can become"),
        (("--bounding-set=-setuid",), "cannot become the user nobody of server.user: Operation"),
        (("--bounding-set=-setpcap",), "Operation not permitted (prctl; start as root, with"),
        (("--bounding-set=-chown",), "run cannot be made for nobody: Operation not permitted"),
        (("--bounding-set=-net_bind_service",), "CAP_NET_BIND_SERVICE is missing"),
    ],
)
def test_who_cannot_become_the_user_does_not_start(
    place: Path, by: tuple[str, ...], why: str
) -> None:
    path = configured(place)
    path.chmod(0o644)
    with Served(path, "setpriv", *by) as server:
        pass
    assert server.process.returncode == 1
    assert why in server.printed


def made(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    return directory


def log_in(client: Dialler) -> None:
    client.host.connect(0.0)
    client.run(lambda: client.host.state is ClientState.UP)
