"""`l2gate capture` on a running server, with a client on real sockets, in a network namespace."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from l2gate.control import Request, ask
from tests.support import tshark
from tests.support.client import ClientState
from tests.support.namespaces import new_namespace
from tests.support.program import (
    CLIENT,
    PATIENCE,
    SERVER,
    Dialler,
    answers,
    configure,
    start,
    wait_for,
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A server that runs in a namespace which the test is inside of."""
    configuration, control = configure(tmp_path), tmp_path / "control.sock"
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
