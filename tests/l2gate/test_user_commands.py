"""`l2gate user` and `l2gate reload`, with a server and without one."""

import asyncio
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from aaa import User
from aaa.totp import STEP, hotp
from l2gate import user_commands
from l2gate.cli import main
from l2gate.configuration import load
from l2gate.configuration.values import totp
from tests.support.client import ClientState
from tests.support.desk import ServedLab
from tests.support.lab import PASSWORD

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def no_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none() -> list[object]:
        return []

    monkeypatch.setattr(user_commands, "_own_networks", none)


@pytest.fixture
def lab(tmp_path: Path) -> ServedLab:
    return ServedLab(tmp_path)


@pytest.fixture
def run(lab: ServedLab, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on the lab's file, without a server."""

    def run_user(*arguments: str) -> tuple[int, str, str]:
        code = main(["user", *arguments, "--config", str(lab.path)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_user


@pytest.fixture
def served(lab: ServedLab, run: Run) -> Run:
    """Run a command while the server answers."""
    return lambda *arguments: lab.serve(lambda: asyncio.to_thread(run, *arguments))


def users(lab: ServedLab) -> dict[str, User]:
    return dict(load(lab.path).configuration.directory.users)


def test_a_new_user_logs_in_at_once(lab: ServedLab, served: Run) -> None:
    code, out, err = served("add", "ann@hr.example.com", "--generate")
    assert (code, err) == (0, "")
    assert out.startswith(f"added ann@hr.example.com to {lab.path}, department hr\n")
    assert out.endswith("the server has reloaded\n")
    (password,) = re.findall(r"password: (\w{16})\n", out)
    user = users(lab)["ann@hr.example.com"]
    assert user.password is None
    assert user.nt_hash is not None
    lab.log_in("ann@hr.example.com", "198.51.100.7", password)


def test_without_a_server_the_change_waits(lab: ServedLab, run: Run) -> None:
    code, out, _ = run("disable", "u0")
    assert code == 0
    assert out.startswith("disabled u0\nno server answers on ")
    assert out.endswith("the change takes effect when it starts\n")
    assert users(lab)["u0"].disabled


def test_disabling_ends_the_sessions_of_that_user_alone(lab: ServedLab, served: Run) -> None:
    goes, stays = lab.log_in("u0", "198.51.100.7"), lab.log_in("u1@sales.example.com", "192.0.2.9")
    before = lab.path.read_text()
    code, out, _ = served("disable", "u0")
    assert code == 0
    assert re.search(r"session \d+ of u0 ends: the user was disabled\nthe server has", out)
    assert (goes.state, stays.state) == (ClientState.CLOSED, ClientState.UP)
    assert served("disable", "u0")[:2] == (0, "u0 is disabled already\n")
    assert served("enable", "u0")[0] == 0
    assert lab.path.read_text() == before
    lab.log_in("u0", "198.51.100.8")


def test_a_password_comes_from_a_file_or_standard_input(
    lab: ServedLab, served: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new").write_text("  spaces kept \n")
    assert served("passwd", "u0", "--password-file", str(tmp_path / "new"))[0] == 0
    assert users(lab)["u0"].password == "  spaces kept "
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("ä".encode() + b"\r\n")))
    assert served("passwd", "u0", "--password-file", "-", "--hash", "argon2")[0] == 1
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\n")))
    assert "expected text in UTF-8" in served("passwd", "u0", "--password-file", "-")[2]


def test_a_password_for_one_login(lab: ServedLab, served: Run) -> None:
    code, _, _ = served("passwd", "u0", "--generate", "--must-change")
    assert code == 0
    assert users(lab)["u0"].must_change_password
    assert lab.gateway.aaa.directory.users["u0"].must_change_password
    served("passwd", "u0", "--generate")
    assert not users(lab)["u0"].must_change_password
    served("add", "new", "--generate", "--must-change")
    assert users(lab)["new"].must_change_password
    code, _, error = served("totp", "new")
    assert code == 1
    assert "must_change_password" in error


def test_a_password_is_asked_for_twice(
    lab: ServedLab, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["one", "two", "good", "good"])
    monkeypatch.setattr(user_commands, "getpass", lambda prompt: next(typed))
    code, out, err = run("passwd", "u0")
    assert (code, err) == (1, "l2gate: the two passwords differ: nothing was changed\n")
    code, out, _ = run("passwd", "u0")
    assert code == 0
    assert "good" not in out
    assert users(lab)["u0"].password == "good"


def test_without_a_terminal_there_is_no_question(lab: ServedLab) -> None:
    command = [sys.executable, "-m", "l2gate", "user", "passwd", "u0", "--config", str(lab.path)]
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True
    )
    assert result.returncode == 1
    why = "l2gate: there is no terminal: give --password-file or --generate\n"
    assert result.stderr == why
    assert users(lab)["u0"].password == PASSWORD


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("add", "u0", "--generate"), "there is a user 'u0' already, in"),
        (("add", "x@nowhere", "--generate"), "no department has the domain 'nowhere': add it"),
        (("add", "x\\y", "--generate"), "expected a login name without a backslash"),
        (("add", "x", "--generate", "--expires", "soon"), "expected a day, such as 2026-12-31"),
        (("add", "x", "--generate", "--address", "172.16.1.7"), "is in the pool of department"),
        (("add", "x", "--generate", "--hash", "argon2"), "'x' can never log in: has only an arg"),
        (("passwd", "u0@x", "--generate"), "there is no user 'u0@x': did you mean 'u0'?"),
        (("disable", "U0"), "there is no user 'U0': did you mean 'u0'?"),
        (("change", "u0"), "nothing to change: give --name, --address, --expires or --route"),
        (("change", "u0", "--name", "u1@sales.example.com"), "the user is in"),
        (("unlock", "u0"), "no server answers on"),
    ],
)
def test_what_is_refused_changes_nothing(
    lab: ServedLab, run: Run, arguments: tuple[str, ...], why: str
) -> None:
    before = lab.path.read_bytes()
    code, out, err = run(*arguments)
    assert code == (3 if arguments[0] == "unlock" else 1)
    assert why in err
    assert "password" not in out
    assert lab.path.read_bytes() == before


def test_codes(lab: ServedLab, served: Run) -> None:
    code, out, _ = served("totp", "u0")
    assert code == 0
    (uri,) = re.findall(r"otpauth://\S+", out)
    parts = urlsplit(uri)
    assert (parts.netloc, parts.path) == ("totp", "/l2gate:u0")
    query = parse_qs(parts.query)
    assert query["issuer"] == ["l2gate"]
    secret = totp(query["secret"][0])
    assert len(secret) == 20
    lab.log_in("u0", "198.51.100.7", PASSWORD + hotp(secret, int(lab.wall()) // STEP))
    assert served("totp", "u0", "--remove")[1].startswith("u0 needs no code now\n")
    lab.log_in("u0", "198.51.100.8")


def test_codes_need_the_password_itself(lab: ServedLab, served: Run) -> None:
    assert served("passwd", "u0", "--hash", "nt", "--generate")[0] == 0
    code, _, err = served("totp", "u0")
    assert code == 1
    assert "nothing was changed, because 'u0' can never log in: has only an nt_hash" in err


def test_moving_to_another_department(lab: ServedLab, served: Run) -> None:
    client = lab.log_in("u1@sales.example.com", "192.0.2.9")
    assert (
        served(
            "change",
            "u1@sales.example.com",
            "--name",
            "u1@hr.example.com",
            "--address",
            "172.16.2.9",
        )[0]
        == 0
    )
    assert client.state is ClientState.CLOSED
    assert str(lab.log_in("u1@hr.example.com", "192.0.2.9").address) == "172.16.2.9"


def test_the_networks_behind_a_router(lab: ServedLab, served: Run) -> None:
    def behind() -> set[str]:
        tables = lab.gateway.tables
        return {str(network) for each in tables.sessions.values() for network in each.routes}

    (lab.path.parent / "pw").write_text(PASSWORD)
    before = lab.path.read_text()
    both = "--route", "10.9.0.0/24", "--route", "10.8.0.0/16"
    add = ("add", "branch", "--hash", "plain", "--password-file", str(lab.path.parent / "pw"))
    code, out, err = served(*add, *both)
    assert (code, err) == (0, "")
    line = f"  - {{name: branch, password: {PASSWORD}, routes: [10.9.0.0/24, 10.8.0.0/16]}}\n"
    assert lab.path.read_text().replace("'", "") == before + line
    client = lab.log_in("branch", "192.0.2.9")
    assert behind() == {"10.9.0.0/24", "10.8.0.0/16"}
    row = served("list")[1].splitlines()[-1].split()
    assert row == ["branch", "default", "enabled", "plain", "no", "10.9.0.0/24", "10.8.0.0/16", "1"]
    change = "change", "branch"
    assert served(*change, *both)[1] == "branch is so already\n"
    assert client.state is ClientState.UP
    code, out, _ = served(*change, "--route", "10.7.0.0/24")
    assert code == 0
    assert re.search(r"session \d+ of branch ends: .*\nthe server has reloaded\n$", out)
    assert client.state is ClientState.CLOSED
    lab.log_in("branch", "192.0.2.9")
    assert behind() == {"10.7.0.0/24"}
    for wrong, why in (
        ("172.16.1.0/24", "172.16.1.0/24 overlaps the gateway of 'sales'"),
        ("10.7.0.1/24", "expected a network without host bits"),
        ("none", "expected a network, such as 192.168.1.0/24"),
    ):
        code, _, err = served(*change, "--route", "10.6.0.0/24", "--route", wrong)
        assert code == 1
        assert why in err
        assert behind() == {"10.7.0.0/24"}, "nothing was changed"
    assert served(*change, "--route", "none")[0] == 0
    assert "routes" not in lab.path.read_text()
    assert behind() == set()


def test_the_list(lab: ServedLab, served: Run, run: Run) -> None:
    assert run("disable", "u0")[0] == 0
    generate = ("--generate", "--expires", "2020-02-02")
    assert run("add", "old", *generate)[0] == 0
    lab.log_in("u1@sales.example.com", "192.168.77.11")
    code, out, _ = served("list")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        [
            *("USER", "DEPARTMENT", "STATE", "EXPIRES", "PASSWORD"),
            *("CODE", "ADDRESS", "ROUTES", "SESSIONS"),
        ],
        ["u0", "default", "disabled", "plain", "no", "0"],
        ["u1@sales.example.com", "sales", "enabled", "plain", "no", "1"],
        ["old", "default", "expired", "2020-02-02", "nt", "no", "0"],
    ]
    rows = json.loads(run("list", "--json")[1])
    assert [row["sessions"] for row in rows] == [None] * 3
    assert PASSWORD not in out + str(rows)
    assert date.fromisoformat(rows[2]["expires"]) == date(2020, 2, 2)


def test_locked_users_are_listed_and_unlocked(lab: ServedLab, served: Run) -> None:
    for _ in range(5):
        lab.gateway.aaa.lockout.failed("u0", "192.0.2.9", "default", lab.wall())
    assert "locked" in served("list")[1].splitlines()[1]
    assert served("unlock", "u0")[:2] == (0, "unlocked u0\n")
    code, _, err = served("unlock", "u0")
    assert (code, err) == (1, "l2gate: 'u0' is not locked\n")


def reload(
    lab: ServedLab, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    def work() -> tuple[int, str, str]:
        code = main(["reload", *arguments, "--socket", str(lab.socket)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return lab.serve(lambda: asyncio.to_thread(work))


def test_reload_and_its_rehearsal(lab: ServedLab, capsys: pytest.CaptureFixture[str]) -> None:
    client = lab.log_in("u0", "192.168.77.11")
    text = (
        lab.path.read_text()
        .replace("name: u0,", "name: u2, ")
        .replace("172.16.1.100", "172.16.1.90")
    )
    lab.path.write_text(text + "l2tp: {hello_interval: 61}\n")
    code, out, _ = reload(lab, capsys, "--dry-run")
    assert code == 0
    session = next(iter(lab.gateway.calls)).session
    assert out.splitlines() == [
        "departments changed: sales",
        "users added: u2",
        "users removed: u0",
        "only at the next start: server, ipsec, l2tp, ppp",
        f"session {session} of u0 ends: the user was removed",
    ]
    assert client.state is ClientState.UP
    assert "u0" in lab.gateway.aaa.directory.users
    assert json.loads(reload(lab, capsys, "--dry-run", "--json")[1])["users_added"] == ["u2"]
    assert reload(lab, capsys)[1] == out
    assert client.state is ClientState.CLOSED
    assert "u2" in lab.gateway.aaa.directory.users


def test_a_broken_file_reloads_nothing(lab: ServedLab, capsys: pytest.CaptureFixture[str]) -> None:
    before = lab.gateway.aaa.directory
    lab.path.write_text(lab.path.read_text().replace("u0", "u1@sales.example.com"))
    for arguments in ((), ("--dry-run",)):
        code, _, err = reload(lab, capsys, *arguments)
        assert code == 1
        assert "the reload is refused, all stays as it was:" in err
        assert "users[u1@sales.example.com].name: the user is in" in err
    assert lab.gateway.aaa.directory is before


def test_nothing_changes(lab: ServedLab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.configuration = load(lab.path).configuration
    assert reload(lab, capsys)[1] == "nothing changes\n"
