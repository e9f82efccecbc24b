"""Certificates as docs/certificates.md says to make them."""

import re
from pathlib import Path

from tests.interop.lab import SERVER, run

PAGE = Path(__file__).parents[2] / "docs" / "certificates.md"


class Authority:
    """A directory with all that the commands of the page make."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        text = PAGE.read_text().replace("203.0.113.1", SERVER)
        (directory / "vpn.cnf").write_text(re.findall(r"```ini\n(.*?)```", text, re.DOTALL)[0])
        *making, self._revoking = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        for script in making:
            self._run(script)

    def of_the_server(self) -> dict[str, object]:
        """Settings of `ipsec` for a server with a certificate, beside its pre-shared key."""
        return {
            "certificate": str(self._directory / "server.pem"),
            "private_key": str(self._directory / "server.key"),
            "client_ca": [str(self._directory / "ca.pem")],
            "crl": [str(self._directory / "ca.crl")],
        }

    def of_a_client(self) -> dict[str, str]:
        """Settings of a login by the certificate of the laptop."""
        return {"CERTIFICATES": str(self._directory)}

    def revoke(self) -> None:
        """Revoke the laptop's certificate."""
        self._run(self._revoking)

    def _run(self, script: str) -> None:
        run("sh", "-euc", f"cd {self._directory}\n{script}", timeout=60)
