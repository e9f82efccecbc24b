"""A real FreeRADIUS, started for a test on ports of the loopback address."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from l2gate.configuration import Certificates
from tests.support.prerequisites import need

TREE = Path(__file__).parents[2] / ".cache" / "lab" / "freeradius"
SECRET = b"the secret of both"

CONFIGURATION = """
prefix = {tree}/usr
localstatedir = {directory}
logdir = {directory}
run_dir = {directory}
libdir = {tree}/usr/lib/freeradius
name = radiusd
max_requests = 16384
cleanup_delay = 5
hostname_lookups = no
log {{
  destination = stdout
  auth = yes
}}
security {{
  max_attributes = 200
  status_server = yes
}}
client localhost {{
  ipaddr = 127.0.0.1
  secret = "{secret}"
  require_message_authenticator = yes
}}
modules {{
  pap {{ }}
  chap {{ }}
  mschap {{
    use_mppe = no
  }}
  files {{
    filename = {directory}/users
    key = "%{{User-Name}}"
  }}
  detail {{
    filename = {directory}/accounting
    permissions = 0600
  }}
  eap {{
    default_eap_type = mschapv2
    md5 {{ }}
    mschapv2 {{ }}
    {with_tls}
  }}
  always ok {{
    rcode = ok
  }}
  always reject {{
    rcode = reject
  }}
}}
server default {{
  listen {{
    type = auth
    ipaddr = 127.0.0.1
    port = {authentication}
  }}
  listen {{
    type = acct
    ipaddr = 127.0.0.1
    port = {accounting}
  }}
  authorize {{
    chap
    mschap
    eap {{
      ok = return
    }}
    files
    pap
  }}
  authenticate {{
    Auth-Type PAP {{
      pap
    }}
    Auth-Type CHAP {{
      chap
    }}
    Auth-Type MS-CHAP {{
      mschap
    }}
    eap
  }}
  post-auth {{
    update reply {{
      &Message-Authenticator := 0x00
    }}
    Post-Auth-Type REJECT {{
      update reply {{
        &Message-Authenticator := 0x00
      }}
    }}
  }}
  accounting {{
    detail
  }}
}}
"""

WITH_TLS = """
tls-config common {{
  certificate_file = "{files.certificate}"
  private_key_file = "{files.private_key}"
  ca_file = "{files.client_ca}"
  fragment_size = 1024
  tls_min_version = "1.2"
  tls_max_version = "1.3"
  check_cert_cn = "%{{User-Name}}"
}}
tls {{
  tls = common
}}
peap {{
  tls = common
  default_eap_type = mschapv2
  virtual_server = inner
}}
ttls {{
  tls = common
  default_eap_type = md5
  virtual_server = inner
}}
"""

INNER = """
server inner {
  authorize {
    if (!(&User-Name == &outer.request:User-Name)) {
      reject
    }
    mschap
    eap {
      ok = return
    }
    files
    pap
  }
  authenticate {
    Auth-Type PAP {
      pap
    }
    Auth-Type MS-CHAP {
      mschap
    }
    eap
  }
}
"""


class FreeRadius:
    """One server; `users` is its users file. It writes what it accounts to `accounting()`.

    With `files` it has the methods of EAP with TLS, too.
    """

    def __init__(self, directory: Path, users: str, files: Certificates | None = None) -> None:
        need("" if TREE.exists() else "needs FreeRADIUS unpacked: run 'make setup'")
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.authentication_port, self.accounting_port = _free_port(), _free_port()
        (directory / "users").write_text(users)
        (directory / "radiusd.conf").write_text(
            CONFIGURATION.format(
                with_tls=WITH_TLS.format(files=files) if files else "",
                tree=TREE,
                directory=directory,
                secret=SECRET.decode(),
                authentication=self.authentication_port,
                accounting=self.accounting_port,
            )
            + (INNER if files else "")
        )

    def start(self) -> None:
        """Start it, and return once it listens."""
        libraries = (TREE / "usr/lib/x86_64-linux-gnu", TREE / "usr/lib/freeradius")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                (
                    TREE / "usr/sbin/freeradius",
                    *("-f", "-xx", "-l", "stdout"),
                    *("-d", self._directory, "-D", TREE / "usr/share/freeradius"),
                ),
                env=os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, libraries))},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 20
        while "Ready to process requests" not in self.log():
            if self._process.poll() is not None or time.monotonic() > end:
                said = self.log()
                self.kill()
                raise RuntimeError(said[-2000:])
            time.sleep(0.05)

    def kill(self) -> None:
        """End it in the midst of whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._log.rename(self._log.with_suffix(".old"))

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def accounting(self) -> list[dict[str, str]]:
        """Return the Accounting-Requests that it has taken, attributes by name."""
        file = self._directory / "accounting"
        if not file.exists():
            return []
        requests = []
        for entry in file.read_text().strip().split("\n\n"):
            pairs = (line.partition(" = ") for line in entry.splitlines()[1:])
            requests.append({name.strip(): value.strip('"') for name, _, value in pairs})
        return requests

    @property
    def _log(self) -> Path:
        return self._directory / "radiusd.log"


@contextmanager
def running_freeradius(users: str, files: Certificates | None = None) -> Iterator[FreeRadius]:
    """A server that is up, and gone with the context."""
    with tempfile.TemporaryDirectory() as directory:
        server = FreeRadius(Path(directory), users, files)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
