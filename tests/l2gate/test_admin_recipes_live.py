"""The shell lines of docs/admin.md that need the program itself, beside a server of their own.

The servers that they speak of are real ones: FreeRADIUS, and PostgreSQL.
"""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from tests.support.client import ClientState
from tests.support.freeradius import SECRET, TREE, running_freeradius
from tests.support.namespaces import Namespace, new_namespace
from tests.support.postgresql import running_postgresql
from tests.support.program import PASSWORD, SERVER, USER, Dialler, wait_for
from tests.support.recipes import LIVE, Admin, recipes

pytestmark = pytest.mark.timeout(600)
"""An admin's command starts Python, and there are many; how fast is a matter of the machine."""

RECIPES = recipes()
ANN, RADIUS_PASSWORD = "ann@staff.example.com", "what RADIUS knows"
LOCAL_PASSWORD = "correct horse battery staple"
"""It stands in the recipe."""


def add_user(admin: Admin, name: str = USER, password: str = PASSWORD) -> None:
    admin.run(f"printf '{password}' | l2gate user add {name} --password-file -")


@contextmanager
def dialled(
    psk: str, user: str = USER, password: str = PASSWORD, gets_in: bool = True
) -> Iterator[Dialler]:
    """A client that has dialled, and got in or not; in the end it hangs up."""
    with closing(Dialler(user, password, psk)) as client:
        client.host.connect(0.0)
        client.run(lambda: client.host.state is not ClientState.CONNECTING)
        assert (client.host.state is ClientState.UP) is gets_in, client.host.why
        yield client
        if client.host.state is ClientState.UP:
            client.host.hang_up(time.monotonic())
            client.run(lambda: client.host.state is ClientState.CLOSED)


def address_of(admin: Admin, user: str = USER) -> IPv4Address | None:
    """Return the address that a user gets, who hangs up again."""
    with dialled(admin.psk, user) as client:
        return client.host.address


def test_every_recipe_is_run_somewhere() -> None:
    assert set(LIVE) <= set(RECIPES)
    tested = Path(__file__).read_text()
    assert all(f'RECIPES["{heading}"]' in tested for heading in LIVE)


def test_another_preshared_key(tmp_path: Path) -> None:
    two, look, one = RECIPES["Another pre-shared key"]
    with new_namespace() as namespace, namespace, Admin(tmp_path, {}, SERVER) as admin:
        add_user(admin)
        old = admin.psk
        admin.run(two)
        new = (tmp_path / "psk-next").read_text().strip()
        assert new != old
        with dialled(old):
            assert re.search(rf"{USER} .* psk\b", admin.run(look))
        with dialled(new):
            assert re.search(rf"{USER} .* psk_next\b", admin.run(look))
        assert "keys changed" in admin.run(one)
        assert admin.psk == new
        with dialled(new):
            pass


def test_restarts_and_the_state_file(tmp_path: Path) -> None:
    restart, copy, back = RECIPES["Restarts and the state file"]
    with new_namespace() as namespace, namespace, Admin(tmp_path, {}, SERVER) as admin:
        add_user(admin, "first")
        add_user(admin)
        other, mine = address_of(admin, "first"), address_of(admin)
        assert mine != other
        admin.run(restart)
        assert address_of(admin) == mine
        admin.run(copy)
        add_user(admin, "later")
        with dialled(admin.psk, "later"):
            pass
        assert "later" in admin.run("l2gate history")
        printed = admin.run(back)
        assert USER in printed
        assert "later" not in printed
        assert address_of(admin) == mine


def test_a_second_gateway(tmp_path: Path) -> None:
    join, tell = RECIPES["A second gateway"]
    with ExitStack() as stack:
        database = stack.enter_context(running_postgresql())
        instead = {"host=db.example.com user=l2gate dbname=l2gate": database.conninfo}
        gateways: list[tuple[Namespace, Admin]] = []
        for name in ("vpn1", "vpn2"):
            namespace = stack.enter_context(new_namespace())
            (tmp_path / name).mkdir()
            with namespace:
                admin = stack.enter_context(Admin(tmp_path / name, instead, SERVER, name))
                admin.run(join)
                assert "state:\n" not in admin.path.read_text()
                add_user(admin, name)
            gateways.append((namespace, admin))
        addresses = []
        for namespace, admin in gateways:
            with namespace:
                name = admin.path.parent.name
                client = stack.enter_context(dialled(admin.psk, name))
                addresses.append(client.host.address)
        assert len(set(addresses)) == len(gateways)
        for _, admin in gateways:
            printed = admin.run(tell)
            assert all(re.search(rf"^{name} .*{name}", printed, re.M) for name in ("vpn1", "vpn2"))


def radclient_in(programs: Path) -> None:
    """Make the command `radclient`, of what is unpacked."""
    libraries = f"{TREE}/usr/lib/x86_64-linux-gnu:{TREE}/usr/lib/freeradius"
    program = programs / "radclient"
    program.write_text(
        f"#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {TREE}/usr/bin/radclient "
        f'-D {TREE}/usr/share/freeradius "$@"\n'
    )
    program.chmod(0o755)


def test_users_in_radius(tmp_path: Path) -> None:
    ask, look, end, down = RECIPES["Users in RADIUS"]
    users = f'\n{ANN} Cleartext-Password := "{RADIUS_PASSWORD}"\n'
    with (
        new_namespace() as namespace,
        namespace,
        running_freeradius(users) as radius,
    ):
        ports = f"port: {radius.authentication_port}, accounting_port: {radius.accounting_port}"
        instead = {
            "the secret of both": SECRET.decode(),
            "clients: [{address: 192.0.2.10": "clients: [{address: 127.0.0.1",
            "{address: 192.0.2.10": f"{{address: 127.0.0.1, {ports}",
            "192.0.2.1:": "127.0.0.1:",
        }

        def reported(status: str, user: str) -> bool:
            return any(
                (entry["Acct-Status-Type"], entry["User-Name"]) == (status, user)
                for entry in radius.accounting()
                if "User-Name" in entry
            )

        with Admin(tmp_path, instead, SERVER) as admin:
            radclient_in(tmp_path / "bin")
            add_user(admin)
            admin.run(ask)
            with dialled(admin.psk):
                wait_for(lambda: reported("Start", USER))
            with dialled(admin.psk, ANN, LOCAL_PASSWORD, gets_in=False):
                pass
            with dialled(admin.psk, ANN, RADIUS_PASSWORD) as client:
                assert client.host.address in IPv4Network("172.16.7.0/24")
                assert ANN in admin.run(look)
                assert "Disconnect-ACK" in admin.run(end)
                client.run(lambda: client.host.state is ClientState.CLOSED)
            wait_for(lambda: reported("Stop", ANN))
            radius.kill()
            with dialled(admin.psk, ANN, RADIUS_PASSWORD, gets_in=False):
                pass
            assert "RADIUS" in admin.run(down)
            with dialled(admin.psk, ANN, LOCAL_PASSWORD):
                pass
            radius.start()
