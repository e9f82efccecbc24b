"""The program itself with a real FreeRADIUS: its own sockets, clock and event loop."""

import os
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.client import ClientState
from tests.support.freeradius import SECRET, TREE, running_freeradius
from tests.support.namespaces import new_namespace
from tests.support.program import PASSWORD, PATIENCE, PSK, SERVER, USER, Dialler, start, wait_for

USERS = f"""
{USER} Cleartext-Password := "{PASSWORD}"
    Framed-IP-Address = 172.16.9.77
"""
CONFIGURATION = """
server: {{listen: {server}, control_socket: {directory}/control.sock}}
ipsec: {{psk: {psk}}}
ppp: {{authentication: [{method}]}}
departments: {{default: {{pool: 172.16.9.0/24, gateway: 172.16.9.1, authenticate: [radius]}}}}
radius:
  relay_eap: {relay}
  servers:
    - address: 127.0.0.1
      port: {authentication_port}
      accounting_port: {accounting_port}
      secret: {secret}
  dynamic_authorization:
    listen: 127.0.0.1
    clients: [{{address: 127.0.0.1, secret: {secret}}}]
"""


def radclient(order: str, attributes: str) -> str:
    """Send a request as an admin would, and return what radclient says of the answer."""
    libraries = (TREE / "usr/lib/x86_64-linux-gnu", TREE / "usr/lib/freeradius")
    done = subprocess.run(
        [
            *(TREE / "usr/bin/radclient", "-x", "-D", TREE / "usr/share/freeradius"),
            *("127.0.0.1:3799", order, SECRET.decode()),
        ],
        input=attributes,
        env=os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, libraries))},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("method", "relay", "said"),
    [("ms-chapv2", "false", "MS-CHAPv2"), ("eap", "false", "EAP-MSCHAPv2"), ("eap", "true", "EAP")],
)
def test_a_session_from_its_login_to_the_order_that_ends_it(
    tmp_path: Path, method: str, relay: str, said: str
) -> None:
    path = tmp_path / "l2gate.yaml"
    with new_namespace() as namespace, namespace, running_freeradius(USERS) as radius:
        path.write_text(
            CONFIGURATION.format(
                server=SERVER,
                directory=tmp_path,
                method=method,
                relay=relay,
                psk=PSK,
                secret=SECRET.decode(),
                authentication_port=radius.authentication_port,
                accounting_port=radius.accounting_port,
            )
        )
        path.chmod(0o600)
        server = start("serve", "--config", path)

        def statuses() -> list[str]:
            return [entry["Acct-Status-Type"] for entry in radius.accounting()]

        try:
            wait_for((tmp_path / "control.sock").exists)
            with closing(Dialler()) as client:
                client.host.connect(0.0)
                client.run(lambda: client.host.state is ClientState.UP)
                assert str(client.host.address) == "172.16.9.77"
                wait_for(lambda: "Start" in statuses())
                nak = radclient("disconnect", 'User-Name = "eve"')
                assert "Disconnect-NAK" in nak
                assert "Error-Cause = Session-Context-Not-Found" in nak
                assert "CoA-ACK" in radclient("coa", f'User-Name = "{USER}", Session-Timeout = 900')
                assert "Disconnect-ACK" in radclient("disconnect", f'User-Name = "{USER}"')
                client.run(lambda: client.host.state is ClientState.CLOSED)
                wait_for(lambda: "Stop" in statuses())
            server.terminate()
            wait_for(lambda: server.poll() is not None)
        finally:
            server.terminate()
            printed, _ = server.communicate(timeout=PATIENCE)
        stop = radius.accounting()[-2]
        assert statuses() == ["Accounting-On", "Start", "Stop", "Accounting-Off"]
    assert server.returncode == 0, printed
    assert stop["Acct-Terminate-Cause"] == "Admin-Reset"
    assert "disconnected by RADIUS" in printed
    assert f"logged in by {said}" in printed
    assert SECRET.decode() not in printed
