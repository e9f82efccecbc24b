"""`l2gate capture` on a running server, with a client on real sockets, in a network namespace."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ipsec.path import Path as WirePath
from l2gate.control import ControlError, Request, ask
from l2gate.sockets import Sockets
from ppp.config import Credentials
from tests.support import tshark
from tests.support.client import ClientHost, ClientState
from tests.support.namespaces import new_namespace
from tests.support.simulation import Wire

SERVER, CLIENT = "127.0.0.1", "127.0.0.2"
CONFIGURATION = """
server: {{listen: {server}, control_socket: {directory}/control.sock}}
ipsec: {{psk: a long and random pre-shared key}}
departments: {{default: {{pool: 172.16.9.0/24, gateway: 172.16.9.1}}}}
users: [{{name: bob, password: correct horse battery}}]
"""
L2GATE = (sys.executable, "-m", "l2gate")
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0


class Dialler:
    """A client on real sockets."""

    def __init__(self) -> None:
        self._sockets = Sockets([CLIENT])
        credentials = Credentials("bob", "correct horse battery")
        psk = b"a long and random pre-shared key"
        self.host = ClientHost(CLIENT, SERVER, psk, credentials, os.urandom)

    def close(self) -> None:
        self._sockets.close()

    def run(self, until: Callable[[], bool]) -> None:
        """Exchange packets until something holds."""
        end = time.monotonic() + PATIENCE
        while not until():
            now = time.monotonic()
            assert now < end, self.host.why or self.host.state
            for packet in self.host.packets_to_send():
                way = WirePath(packet.source, packet.destination)
                self._sockets.send([packet.data], way)
            due = self.host.next_timeout()
            wait = max(0.0, min(0.2, (due or end) - now))
            for bound in select.select(list(self._sockets), [], [], wait)[0]:
                for data, way in bound.receive():
                    self.host.receive(Wire(way.peer, way.local, data), time.monotonic())
            if due is not None and due <= time.monotonic():
                self.host.handle_timeout(time.monotonic())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A server that runs in a namespace which the test is inside of."""
    configuration, control = tmp_path / "l2gate.yaml", tmp_path / "control.sock"
    configuration.write_text(CONFIGURATION.format(server=SERVER, directory=tmp_path))
    configuration.chmod(0o600)
    with new_namespace() as namespace, namespace:
        server = start("serve", "--config", configuration)
        try:
            wait_for(lambda: answers(control))
            yield server
        finally:
            server.terminate()
            server.communicate(timeout=PATIENCE)


@pytest.fixture
def control(server: subprocess.Popen[str], tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [*L2GATE, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )


def answers(control: Path) -> bool:
    try:
        return ask(control, Request("status")).error is None
    except ControlError:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        select.select([], [], [], 0.02)


def line(program: subprocess.Popen[str]) -> str:
    """Return the next line that a program prints."""
    if program.stdout is None:
        raise ValueError("its output goes elsewhere")
    return program.stdout.readline()


def capture(control: Path, out: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a capture of the client, and return when it records."""
    program = start("capture", "--socket", control, "--peer", CLIENT, "--out", out, *arguments)
    first = line(program)
    assert first == f"recording {CLIENT}; Ctrl-C ends it\n", first + program.communicate()[0]
    return program


def test_a_login_is_recorded_and_read_with_its_keys(control: Path, tmp_path: Path) -> None:
    out = tmp_path / "login.pcapng"
    program = capture(control, out)
    before = time.time()
    with closing(Dialler()) as client:
        client.host.connect(time.monotonic())
        client.run(lambda: client.host.state is ClientState.UP)
    program.send_signal(signal.SIGINT)
    printed, _ = program.communicate(timeout=PATIENCE)
    assert program.returncode == 0
    assert "3 keys: interrupted" in printed
    directory = tmp_path / "login.pcapng.wireshark"
    assert f"WIRESHARK_CONFIG_DIR={directory} tshark -r {out}" in printed
    fields = ("-e", "frame.protocols", "-e", "frame.time_epoch", "-e", "ip.src", "-e", "ip.dst")
    rows = [row.split("\t") for row in tshark.read(out, directory, "-T", "fields", *fields)]
    protocols = [row[0] for row in rows]
    assert all(f":{name}" in " ".join(protocols) for name in ("lcp", "chap", "ipcp"))
    assert sum("isakmp" in name for name in protocols) == 9
    assert not [name for name in protocols if "esp" in name and "l2tp" not in name]
    times = [float(row[1]) for row in rows]
    assert times == sorted(times)
    assert before <= times[0] + 0.001
    assert times[-1] <= time.time()
    assert {(row[2], row[3]) for row in rows} == {(CLIENT, SERVER), (SERVER, CLIENT)}


def test_it_ends_after_its_packets_and_after_its_time(control: Path, tmp_path: Path) -> None:
    timed = capture(control, tmp_path / "timed.pcapng", "--seconds", "1")
    counted = capture(control, tmp_path / "counted.pcapng", "--packets", "2")
    with closing(Dialler()) as client:
        client.host.connect(time.monotonic())
        client.run(lambda: counted.poll() is not None)
    assert "2 packets and 0 keys: all packets that were asked for" in counted.communicate()[0]
    assert "the time is over" in timed.communicate(timeout=PATIENCE)[0]


def test_two_at_one_time_until_one_is_killed(control: Path, tmp_path: Path) -> None:
    first = capture(control, tmp_path / "1.pcapng")
    second = capture(control, tmp_path / "2.pcapng")
    third = start("capture", "--socket", control, "--peer", CLIENT, "--out", tmp_path / "3.pcapng")
    assert "2 captures are under way already" in third.communicate(timeout=PATIENCE)[0]
    assert third.returncode == 1
    assert not list(tmp_path.glob("3.pcapng*"))
    first.kill()
    first.communicate()
    wait_for(lambda: ask(control, Request("capture", {"peer": CLIENT})).error is None)
    second.kill()
    second.communicate()


def test_a_server_that_is_killed(
    server: subprocess.Popen[str], control: Path, tmp_path: Path
) -> None:
    program = capture(control, tmp_path / "x.pcapng")
    server.kill()
    server.wait()
    assert "the server is gone" in program.communicate(timeout=PATIENCE)[0]
    assert program.returncode == 1


def test_what_stops_it_before_it_begins(control: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    out.write_text("precious")
    program = start("capture", "--socket", control, "--peer", CLIENT, "--out", out)
    assert "File exists" in program.communicate(timeout=PATIENCE)[0]
    assert (program.returncode, out.read_text()) == (1, "precious")
    other = tmp_path / "y.pcapng"
    program = start("capture", "--socket", control, "--peer", "bob", "--out", other)
    assert "there is no session of 'bob'" in program.communicate(timeout=PATIENCE)[0]
    assert program.returncode == 1
    program = start("capture", "--socket", tmp_path / "no", "--peer", CLIENT, "--out", other)
    assert "no server answers" in program.communicate(timeout=PATIENCE)[0]
    assert program.returncode == 3
    assert not list(tmp_path.glob("y.pcapng*"))
