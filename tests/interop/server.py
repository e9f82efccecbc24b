"""`l2gate serve` in the lab, started and asked as an admin would."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from tests.interop.lab import Lab, Login, run, wait_for

L2GATE = str(Path(sys.executable).with_name("l2gate"))

Settings: TypeAlias = Mapping[str, object]

PSK = "a key for the laboratory"
SALES = Login("u1@sales.example.com", "sails in the sun", PSK)
HR = Login("u1@hr.example.com", "human, all too human", PSK)
BOB = Login("bob", "bob's your uncle", PSK)


def configuration(
    directory: Path, *, users: tuple[Login, ...] = (SALES, HR, BOB), **sections: Settings
) -> dict[str, object]:
    """Two departments and the one for names without a suffix; `sections` are added to it."""
    basis: dict[str, Settings] = {
        "server": {
            "name": "vpn.example.com",
            "listen": ["0.0.0.0"],
            "control_socket": str(directory / "control.sock"),
        },
        "ipsec": {"psk": PSK},
    }
    merged = {name: {**basis.get(name, {}), **sections.get(name, {})} for name in basis | sections}
    return merged | {
        "departments": {
            "sales": {
                "domains": ["sales.example.com"],
                "pool": "172.16.1.2-172.16.1.100",
                "gateway": "172.16.1.1",
                "dns": ["192.168.1.53", "192.168.1.54"],
            },
            "hr": {
                "domains": ["hr.example.com"],
                "pool": "172.16.2.2-172.16.2.100",
                "gateway": "172.16.2.1",
                "dns": ["192.168.1.55", "192.168.1.56"],
            },
            "default": {"pool": "172.16.9.2-172.16.9.100", "gateway": "172.16.9.1"},
        },
        "users": [{"name": user.user, "password": user.password} for user in users],
    }


class Server:
    """One run of the server; its configuration and log are in `directory`."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab, self.directory = lab, directory
        self._configuration = directory / "l2gate.yaml"
        self._log = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, settings: Mapping[str, object]) -> None:
        """Write the configuration; every JSON text is YAML."""
        self._configuration.write_text(json.dumps(settings, indent=2))
        self._configuration.chmod(0o600)

    def start(self) -> None:
        """Start the server and return once it is ready."""
        command = (L2GATE, "serve", "--config", str(self._configuration))
        process = self._process = self.lab.start("server", *command, log=self._log)

        def ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"the server ended:\n{self.log()}")
            return "is ready" in self.log()

        wait_for(ready, 20, "the server's start")

    def command(self, *words: str) -> str:
        """Run an `l2gate` command against the server; returns what it printed."""
        return run(L2GATE, *words, "--socket", str(self.directory / "control.sock"))

    def reload(self) -> None:
        self._send(signal.SIGHUP)

    def stop(self, seconds: float = 10) -> int:
        """End the server politely; returns its exit status. Harmless where it is not up."""
        if self._process is None:
            return 0
        self._send(signal.SIGTERM)
        process, self._process = self._process, None
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def kill(self) -> None:
        """End the server as a power cut does."""
        self._send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(timeout=10)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def wait_for_log(self, *words: str, seconds: float = 10) -> str:
        """Return the first line of the log that has all `words`, in any case, once it is there."""

        def found() -> str:
            for line in self.log().splitlines():
                if all(word.casefold() in line.casefold() for word in words):
                    return line
            return ""

        wait_for(found, seconds, f"a line with {words} in the server's log")
        return found()
