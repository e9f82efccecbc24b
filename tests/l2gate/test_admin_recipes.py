"""Every shell line of docs/admin.md works, in the order of the page, beside a running server."""

import asyncio
import re
import sys
from pathlib import Path

from l2gate.configuration import load
from l2gate.state import Beginning, Ending, Sqlite, Store, Traffic
from tests.support.client import ClientState
from tests.support.desk import ServedLab

ROOT = Path(__file__).resolve().parents[2]
RECIPES = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "admin.md").read_text(), re.DOTALL)

COMMAND = """\
#!{python}
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from l2gate import cli
cli.CONFIGURATION, cli.CONTROL_SOCKET = Path({path!r}), Path({socket!r})
sys.exit(cli.main())
"""


def remember_bob(file: Path, now: int) -> None:
    """Let there have been a session of bob's."""
    database = Sqlite(file)
    store = Store(database, "one")
    store.recover(now)
    store.begin(Beginning("1", "bob", "default", "172.16.9.7", "192.0.2.9:4500", "PC", now - 99))
    store.end(Ending("1", now - 9, "hung up", Traffic(1, 2048)))
    database.close()


def test_every_recipe_works(tmp_path: Path) -> None:
    lab = ServedLab(tmp_path)
    lab.log_in("u0", "192.0.2.7")
    leaves = lab.log_in("u1@sales.example.com", "192.0.2.8")
    for _ in range(5):
        lab.gateway.aaa.lockout.failed("bob", "192.0.2.9", "default", lab.wall())
    remember_bob(lab.state, int(lab.wall()))
    command = tmp_path / "bin" / "l2gate"
    command.parent.mkdir()
    command.write_text(
        COMMAND.format(
            python=sys.executable, root=str(ROOT), path=str(lab.path), socket=str(lab.socket)
        )
    )
    command.chmod(0o755)
    script = "set -eu -o pipefail\n" + "\n".join(RECIPES)
    assert script.count("l2gate ") >= 21

    async def work() -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *("/bin/bash", "-xc", script),
            env={"PATH": f"{command.parent}:/usr/bin:/bin"},
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
    loaded = load(lab.path)
    assert loaded.warnings == ()
    assert set(loaded.configuration.directory.users) == {
        *(
            "branch1@sales.example.com",
            "u0",
            "u1@sales.example.com",
            "bob",
            "alice@sales.example.com",
        )
    }
    assert "  # the first\n" in lab.path.read_text()
    lab.log_in("bob", "192.0.2.9", "correct horse battery staple")
