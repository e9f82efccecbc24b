"""Every shell line of docs/admin.md works, in the order of the page, beside a running server."""

import asyncio
import re
from pathlib import Path

import pytest

from l2gate.configuration import load
from l2gate.state import Beginning, Ending, Sqlite, Store, Traffic
from tests.support.client import ClientState
from tests.support.desk import ServedLab
from tests.support.recipes import LIVE, command_in, recipes


def remember_bob(file: Path, now: int) -> None:
    """Let there have been a session of bob's."""
    database = Sqlite(file)
    store = Store(database, "one")
    store.recover(now)
    store.begin(Beginning("1", "bob", "default", "172.16.9.7", "192.0.2.9:4500", "PC", now - 99))
    store.end(Ending("1", now - 9, "hung up", Traffic(1, 2048)))
    database.close()


@pytest.mark.timeout(600)  # each command starts Python, and how fast is a matter of the machine
def test_every_recipe_works(tmp_path: Path) -> None:
    lab = ServedLab(tmp_path)
    lab.log_in("u0", "192.0.2.7")
    leaves = lab.log_in("u1@sales.example.com", "192.0.2.8")
    for _ in range(5):
        lab.gateway.aaa.lockout.failed("bob", "192.0.2.9", "default", lab.wall())
    remember_bob(lab.state, int(lab.wall()))
    programs = command_in(tmp_path, lab.path, lab.socket)
    blocks = [block for heading, own in recipes().items() if heading not in LIVE for block in own]
    script = "set -eu -o pipefail\n" + "\n".join(blocks).replace("/etc/l2gate", str(tmp_path))
    assert script.count("l2gate ") >= 40

    async def work() -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *("/bin/bash", "-xc", script),
            env={"PATH": f"{programs}:/usr/bin:/bin"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode, output.decode()

    code, output = lab.serve(work)
    assert code == 0, output
    assert leaves.state is ClientState.CLOSED
    assert re.search(r"^bob +default +172.16.9.7 .* 0:01:30 .* hung up$", output, re.MULTILINE)
    said = [line for line in output.splitlines() if line.startswith("departments ")]
    renamed = ["departments added: helpdesk", "departments removed: support"]
    assert said == [
        *["departments added: support"] * 2,
        *["departments changed: support"] * 3,
        *renamed * 2,
        "departments changed: helpdesk",
        "departments removed: helpdesk",
    ]
    loaded = load(lab.path)
    assert loaded.warnings == ()
    assert set(loaded.configuration.directory.users) == {
        *("u0", "bob"),
        *(f"{name}@sales.example.com" for name in ("u1", "alice", "branch1")),
    }
    assert "  # the first\n" in lab.path.read_text()
    lab.log_in("bob", "192.0.2.9", "correct horse battery staple")
