"""The recipes of docs/admin.md: the shell lines, by heading, as an admin would run them."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support.program import PATIENCE, ROOT, answers, start, wait_for

LIVE: Final = (
    "Another pre-shared key",
    "Restarts and the state file",
    "A second gateway",
    "Users in RADIUS",
)
"""The headings whose recipes need the program itself, and what it works with."""

_SYSTEMCTL: Final = re.compile(r"^systemctl (start|stop|restart) l2gate\n", re.MULTILINE)

_COMMAND: Final = """\
#!{python}
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from l2gate import cli
cli.CONFIGURATION, cli.CONTROL_SOCKET = Path({path!r}), Path({socket!r})
sys.exit(cli.main())
"""


def recipes() -> dict[str, list[str]]:
    """Return the shell blocks of the page, by heading."""
    text = (ROOT / "docs" / "admin.md").read_text()
    found = {}
    for section in text.split("\n## ")[1:]:
        heading, _, rest = section.partition("\n")
        found[heading] = re.findall(r"```sh\n(.*?)```", rest, re.DOTALL)
    return {heading: blocks for heading, blocks in found.items() if blocks}


def command_in(directory: Path, path: Path, socket: Path) -> Path:
    """Make the command `l2gate`, with other places by default; return the directory it is in."""
    programs = directory / "bin"
    programs.mkdir(exist_ok=True)
    program = programs / "l2gate"
    program.write_text(
        _COMMAND.format(python=sys.executable, root=str(ROOT), path=str(path), socket=str(socket))
    )
    program.chmod(0o755)
    return programs


class Admin:
    """Somebody with a gateway that `l2gate init` has set up, in a directory and a namespace.

    Where recipes have the texts of `instead`, something else stands there. The server listens on
    `listen`; it is started and stopped by the recipes' systemctl.
    """

    def __init__(
        self, directory: Path, instead: Mapping[str, str], listen: str, name: str = "vpn1"
    ) -> None:
        self.path, self.socket = directory / "l2gate.yaml", directory / "control.sock"
        self._instead = {
            "/etc/l2gate": str(directory),
            "/var/lib/l2gate": str(directory),
            "/var/backups": str(directory),
            **instead,
        }
        self._path = f"{command_in(directory, self.path, self.socket)}:/usr/bin:/bin"
        self._server: subprocess.Popen[str] | None = None
        self.run(f"l2gate init --name {name}")
        text = self.path.read_text()
        mine = f"  name: {name}\n  listen: {listen}\n  control_socket: {self.socket}\n"
        self.path.write_text(text.replace(f"  name: {name}\n", mine))

    def __enter__(self) -> "Admin":
        self.run("systemctl start l2gate\n")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def psk(self) -> str:
        """The pre-shared key."""
        return (self.path.parent / "psk").read_text().strip()

    def run(self, script: str) -> str:
        """Run a recipe; return what it prints."""
        for text, other in self._instead.items():
            script = script.replace(text, other)
        lines, *rest = _SYSTEMCTL.split(script)
        printed = self._shell(lines)
        for verb, following in zip(rest[::2], rest[1::2], strict=True):
            if verb != "start":
                self.stop()
            if verb != "stop":
                self._start()
            printed += self._shell(following)
        return printed

    def stop(self) -> str:
        """End the server; return what it has printed."""
        if self._server is None:
            return ""
        self._server.terminate()
        printed, _ = self._server.communicate(timeout=PATIENCE)
        assert self._server.returncode == 0, printed
        self._server = None
        return printed

    def _start(self) -> None:
        self._server = server = start("serve", "--config", self.path)
        wait_for(lambda: answers(self.socket) or server.poll() is not None)
        if server.poll() is not None:
            raise RuntimeError(server.communicate()[0])

    def _shell(self, lines: str) -> str:
        done = subprocess.run(
            ["/bin/bash", "-euxo", "pipefail", "-c", lines],
            env={**os.environ, "PATH": self._path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=10 * PATIENCE,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout
