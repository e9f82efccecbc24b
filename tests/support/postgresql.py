"""A real PostgreSQL, started for a test: its own directory, a local socket, no network."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.support.prerequisites import need

TREE = Path(__file__).parents[2] / ".cache" / "lab" / "postgresql"


class PostgresqlServer:
    """One server; `conninfo` reaches it while it is up."""

    def __init__(self, directory: Path) -> None:
        found = sorted(TREE.glob("usr/lib/postgresql/*/bin"))
        need("needs root" if os.geteuid() else "")
        need("" if found else "needs PostgreSQL unpacked: run 'make setup'")
        self._bin, self._directory = found[-1], directory
        self._process: subprocess.Popen[bytes] | None = None
        self.conninfo = f"host={directory} user=l2gate dbname=postgres"
        shutil.chown(directory, "nobody")
        made = self._run("initdb", "-D", "data", "-U", "l2gate", "--auth=trust", "--no-sync")
        if made.wait(timeout=60):
            raise RuntimeError((directory / "log").read_text())

    def start(self) -> None:
        """Start it, and return once it answers."""
        settings = (
            "-k",
            str(self._directory),
            "-c",
            "listen_addresses=",
            "-c",
            "max_connections=10",
        )
        wait_until = time.monotonic() + 20
        while not self._answers():
            if time.monotonic() > wait_until:
                raise TimeoutError((self._directory / "log").read_text())
            # After a kill, it ends at once until the last of its old processes has noticed.
            if self._process is None or self._process.poll() is not None:
                self._process = self._run("postgres", "-D", "data", *settings)
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it and all its processes."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=20)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.conninfo).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        as_nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
        with (self._directory / "log").open("ab") as log:
            return subprocess.Popen(
                (*as_nobody, self._bin / program, *arguments),
                cwd=self._directory,
                env=os.environ | {"LD_LIBRARY_PATH": f"{TREE}/usr/lib/x86_64-linux-gnu"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


@contextmanager
def running_postgresql() -> Iterator[PostgresqlServer]:
    """A server that is up, and gone with the context."""
    with tempfile.TemporaryDirectory() as directory:
        server = PostgresqlServer(Path(directory))
        try:
            server.start()
            yield server
        finally:
            server.stop()
