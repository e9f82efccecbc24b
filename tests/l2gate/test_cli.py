"""The commands: what they print, what they write, and their exit codes."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from l2gate import first_configuration
from l2gate.cli import main
from l2gate.configuration import load
from l2gate.control import ControlServer, Request, Response
from l2gate.history import Attempt, Offer
from l2gate.reports import (
    PoolRow,
    SessionRow,
    Status,
    rows_to_json,
    sessions_to_json,
    status_to_json,
)

SESSION = SessionRow(
    4711, "bob", "sales", "10.0.0.2", "192.0.2.1:4500", True, "PC", 0.0, "AES", 1, 2, 3, 4
)
ATTEMPT = Attempt(17, 0.0, 0.0, "192.0.2.1", 4500, login="bob", why="refused", windows=691)
OTHER = replace(ATTEMPT, id=18, host="192.0.2.2", why="")
OFFER = Offer("Windows 7", ("AES",), (), ("legacy",), True, 3, 0.0, "192.0.2.1")
STATUS = Status("vpn", "1.2", 0.0, 1, 1, 10, (PoolRow("sales", 9, 1, "lns-sales"),), {})

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_main(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_main


def handle(request: Request) -> Response:
    match request.command, dict(request.arguments):
        case "sessions", {}:
            return Response(sessions_to_json([SESSION]))
        case "status", {}:
            return Response(status_to_json(STATUS))
        case "attempts", {"whose": "17"}:
            return Response(rows_to_json([ATTEMPT]))
        case "attempts", {"whose": _}:
            return Response([])
        case "attempts", {}:
            return Response(rows_to_json([ATTEMPT, OTHER]))
        case "offers", {}:
            return Response(rows_to_json([OFFER]))
        case "disconnect", {"session": 4711} | {"user": "bob" | "4711"}:
            return Response({"closed": 1})
        case "disconnect", {"session": number}:
            return Response(error=f"there is no session {number}")
    return Response(error="unknown")


@pytest.fixture
def with_server(run: Run, tmp_path: Path) -> Run:
    """Run a command while a server listens."""

    def run_with_server(*arguments: str | Path) -> tuple[int, str, str]:
        path = tmp_path / "control.sock"

        async def serve() -> tuple[int, str, str]:
            server = ControlServer(path, handle)
            await server.start()
            try:
                return await asyncio.to_thread(run, *arguments, "--socket", path)
            finally:
                await server.close()

        return asyncio.run(serve())

    return run_with_server


def test_sessions(with_server: Run) -> None:
    code, out, err = with_server("sessions")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split()[:5] == ["4711", "bob", "sales", "10.0.0.2", "192.0.2.1:4500"]


def test_sessions_as_json(with_server: Run) -> None:
    code, out, _ = with_server("sessions", "--json")
    assert code == 0
    (row,) = json.loads(out)
    assert (row["user"], row["address"], row["octets_out"]) == ("bob", "10.0.0.2", 4)


def test_status(with_server: Run) -> None:
    code, out, _ = with_server("status")
    assert code == 0
    assert out.startswith("vpn: l2gate 1.2, running since ")
    code, out, _ = with_server("status", "--json")
    assert code == 0
    assert json.loads(out)["pools"] == [
        {"department": "sales", "size": 9, "used": 1, "interface": "lns-sales"}
    ]


def test_attempts(with_server: Run) -> None:
    code, out, _ = with_server("attempts")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["ID", "17", "18"]
    code, out, _ = with_server("attempts", "17")
    assert code == 0
    assert ["Windows", "error", "691"] in [line.split() for line in out.splitlines()]
    assert with_server("attempts", "nobody") == (0, "no attempts\n", "")
    code, out, _ = with_server("attempts", "--json")
    assert [row["id"] for row in json.loads(out)] == [17, 18]


def test_attempts_are_followed(with_server: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is printed when it is new and when it has changed, but not for its traffic."""
    answers = [
        [ATTEMPT],
        [ATTEMPT, OTHER],
        [replace(ATTEMPT, octets_in=1), OTHER],
        [ATTEMPT, replace(OTHER, stage="up", why="wrong", mend="mend it", windows=691)],
    ]
    waiting = iter(answers)

    def answer(path: Path, request: Request) -> Response:
        return Response(rows_to_json(next(waiting)))

    def sleep(seconds: float) -> None:
        if waiting.__length_hint__() == 0:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    monkeypatch.setattr("l2gate.cli.ask", answer)
    monkeypatch.setattr("time.sleep", sleep)
    code, out, _ = with_server("attempts", "--follow")
    assert code == 0
    lines = [line.split("  ") for line in out.splitlines()]
    assert [(line[0], line[4:]) for line in lines] == [
        ("17", ["main mode:", "refused", "(Windows error 691)"]),
        ("18", ["main mode:", "goes on", "(Windows error 691)"]),
        ("18", ["up:", "wrong; mend it", "(Windows error 691)"]),
    ]
    waiting = iter(answers)
    code, out, _ = with_server("attempts", "--follow", "--json")
    assert code == 0
    assert [json.loads(line)["id"] for line in out.splitlines()] == [17, 18, 18]


def test_offers(with_server: Run) -> None:
    code, out, _ = with_server("offers")
    assert code == 0
    assert out.startswith("Windows 7: 3 times, last ")
    assert "strict: no, default: no, legacy: yes" in out
    code, out, _ = with_server("offers", "--json")
    assert json.loads(out)[0]["accepted"] == ["legacy"]


@pytest.mark.parametrize("target", [["4711"], ["bob"], ["--user", "4711"]])
def test_disconnect(with_server: Run, target: list[str]) -> None:
    assert with_server("disconnect", *target) == (0, "", "")


def test_a_command_that_fails(with_server: Run) -> None:
    assert with_server("disconnect", "17") == (1, "", "l2gate: there is no session 17\n")


@pytest.mark.parametrize(
    "command", [["status"], ["sessions"], ["attempts", "--follow"], ["offers"], ["disconnect", "1"]]
)
def test_no_server(run: Run, tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "control.sock"
    told = f"l2gate: no server answers on {path}: No such file or directory\n"
    assert run(*command, "--socket", path) == (3, "", told)


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["disconnect"], ["init", "--name", "a b"], ["init", "--dns", "x"]]
)
def test_wrong_usage(run: Run, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: l2gate")


def test_version(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("--version")
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"l2gate {version('l2gate')}\n"


def test_init_then_check(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "l2gate.yaml"
    code, out, err = run(
        "init", "--config", path, "--name", "vpn.example.com", "--dns", "192.0.2.53"
    )
    assert (code, err) == (0, "")
    loaded = load(path)
    assert loaded.warnings == ()
    configuration = loaded.configuration
    assert configuration.server.name == "vpn.example.com"
    assert configuration.state is not None
    assert configuration.state.file == path.parent / "state.db"
    assert len(configuration.ipsec.psk) == 24
    (user,) = configuration.directory.users.values()
    (department,) = configuration.directory.departments.values()
    assert department.dns == (IPv4Address("192.0.2.53"),)
    for file in (path, path.parent / "psk"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    psk = configuration.ipsec.psk.decode()
    assert f"-ServerAddress 'vpn.example.com' -TunnelType L2tp -L2tpPsk '{psk}'" in out
    assert f"vpn.secrets 'password={user.password}, ipsec-psk={psk}'" in out
    for words in ("AssumeUDPEncapsulationContextOnSendRule", "macOS", "iPhone", "NetworkManager"):
        assert words in out

    told = f"{path} is in order: departments: 1, users: 1\n"
    assert run("check", "--config", path) == (0, told, "")
    assert run("check", "--config", path, "--json") == (0, "[]\n", "")


def test_what_the_system_refuses_is_told_in_words(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = f"l2gate: {tmp_path}/file/etc: Not a directory\n"
    assert run("init", "--config", tmp_path / "file" / "etc" / "l2gate.yaml") == (1, "", told)


@pytest.mark.parametrize(
    ("name", "is_doubtful"), [("gate", True), ("vpn.example.com", False), ("2001:db8::1", False)]
)
def test_init_doubts_a_name_that_clients_may_not_resolve(name: str, is_doubtful: bool) -> None:
    first = first_configuration.make_up(Path("/etc/l2gate/l2gate.yaml"), name)
    told = first_configuration.instructions(first)
    assert ("or its address" in told) is is_doubtful
    assert "a way back there" in told


def test_init_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    path, psk = tmp_path / "l2gate.yaml", tmp_path / "psk"
    psk.write_text("precious")
    told = f"l2gate: {psk} exists already, and is not overwritten\n"
    assert run("init", "--config", path) == (1, "", told)
    assert not path.exists()
    psk.unlink()
    path.write_text("precious")
    assert run("init", "--config", path)[0] == 1
    assert path.read_text() == "precious"
    assert not psk.exists()


def test_init_makes_other_secrets_each_time(tmp_path: Path) -> None:
    made = [first_configuration.make_up(tmp_path / "x", "vpn") for _ in range(10)]
    assert len({first.psk for first in made} | {first.password for first in made}) == 20
    assert not set("".join(first.psk + first.password for first in made)) & set("0Oo1Il")
    assert made[0].psk not in repr(made[0])


def test_init_keeps_the_state_where_the_service_may_write() -> None:
    first = first_configuration.make_up(Path("/etc/l2gate/l2gate.yaml"), "vpn")
    assert "  file: /var/lib/l2gate/state.db  " in first_configuration.text(first)


def test_init_chooses_a_network_that_the_server_is_not_in(tmp_path: Path) -> None:
    first = first_configuration.make_up(
        tmp_path / "x", "vpn", own_networks=[IPv4Network("172.16.0.0/12")]
    )
    assert str(first.network) == "10.99.9.0/24"


@pytest.mark.parametrize(("host", "name"), [("gate-1.lan", "gate-1.lan"), ("-odd host", "l2gate")])
def test_the_name_is_that_of_the_host(host: str, name: str) -> None:
    assert first_configuration.name_of(host) == name


def test_check_tells_every_mistake(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "l2gate.yaml"
    path.write_text("ipsec: {psk: x, dpd: 3}\ndepartments: {}\n")
    code, out, err = run("check", "--config", path)
    assert code == 1
    assert out.splitlines() == [
        f"{path}:1: error: ipsec: unknown key 'dpd': known are psk, psk_file, psk_next, "
        "psk_next_file, keys, certificate, private_key, client_ca, crl, proposals, identity, "
        "force_encapsulation, dpd_interval, max_half_open",
        f"{path}:2: error: departments is missing: add at least the department 'default'",
    ]
    assert err == f"l2gate: {path}: 2 mistakes\n"
    code, out, _ = run("check", "--config", path, "--json")
    assert code == 1
    assert json.loads(out)[1] == {
        "severity": "error",
        "file": str(path),
        "line": 2,
        "text": "departments is missing: add at least the department 'default'",
    }
    path.write_text(f"ipsec: {{psk: {'x' * 24}}}\ndepartments: {{}}\n")
    assert run("check", "--config", path)[2] == f"l2gate: {path}: 1 mistake\n"


def test_check_tells_warnings(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "l2gate.yaml"
    run("init", "--config", path)
    path.chmod(0o644)
    code, out, _ = run("check", "--config", path)
    assert code == 0
    assert out.splitlines()[0].startswith(f"{path}: warning: holds secrets, and every user")
    assert out.splitlines()[1].startswith(f"{path} is in order")


@pytest.mark.parametrize("number", ["0", "-1", "3601", "1.5", "\u0663", "x"])
def test_capture_has_limits(run: Run, tmp_path: Path, number: str) -> None:
    with pytest.raises(SystemExit) as left:
        run("capture", "--peer", "bob", "--out", tmp_path / "x", f"--seconds={number}")
    assert left.value.code == 2
    assert not list(tmp_path.iterdir())


def test_the_module_is_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "l2gate", "status", "--socket", str(tmp_path / "x")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 3
    assert done.stderr.startswith("l2gate: no server answers on ")
