"""Several pre-shared keys: which are for whom, what they are called, and how they are changed."""

import asyncio
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from l2gate.configuration import Configuration, Loaded, load
from l2gate.control import Request, Response
from l2gate.gateway import Gateway
from l2gate.history import Attempt
from l2gate.keyuse import KeyUse
from l2gate.operations import Operations
from l2gate.reloading import Changes, Reloader
from l2gate.reports import (
    KeyRow,
    attempt_text,
    sessions_from_json,
    status_from_json,
    status_text,
)
from l2gate.settings import ike_config, key_names
from tests.support.client import ClientState
from tests.support.lab import PSK, Lab, configuration
from tests.support.simulation import Nat

OLD, NEW, BRANCH, HOUSE, SIX, GROUP = (
    f"{name}: a long and random pre-shared key"
    for name in ("old", "new", "branch", "house", "six", "group")
)
TEXT = """\
ipsec:
  psk_file: old
  psk_next_file: new
  keys:
    - {from: 203.0.113.0/24, psk_file: branch, psk_next_file: new}
    - {from: 203.0.113.77, psk_file: house}
    - {from: "2001:db8::/32", psk_file: six}
departments: {default: {pool: 172.16.9.0/24, gateway: 172.16.9.1}}
users: [{name: bob, password: pw}]
"""
FILES = {"old": OLD, "new": NEW, "branch": BRANCH, "house": HOUSE, "six": SIX, "group": GROUP}

Read = Callable[..., Loaded]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def write_and_load(text: str = TEXT, **files: str) -> Loaded:
        for name, content in {"l2gate.yaml": text, **FILES, **files}.items():
            (tmp_path / name).write_text(content)
            (tmp_path / name).chmod(0o600)
        return load(tmp_path / "l2gate.yaml")

    return write_and_load


@pytest.mark.parametrize(
    ("host", "keys"),
    [
        ("198.51.100.7", {"psk": OLD, "psk_next": NEW}),
        ("203.0.112.255", {"psk": OLD, "psk_next": NEW}),
        (
            "203.0.113.0",
            {"psk from 203.0.113.0/24": BRANCH, "psk_next from 203.0.113.0/24": NEW},
        ),
        ("203.0.113.77", {"psk from 203.0.113.77/32": HOUSE}),
        ("2001:db8::7", {"psk from 2001:db8::/32": SIX}),
        ("2001:db9::7", {"psk": OLD, "psk_next": NEW}),
    ],
)
def test_the_smallest_network_has_the_keys(read: Read, host: str, keys: dict[str, str]) -> None:
    loaded = read()
    assert loaded.warnings == ()
    found = ike_config(loaded.configuration).preshared_keys(host)
    assert {key.name: key.secret.decode() for key in found} == keys


def test_without_a_common_key_others_have_none(read: Read) -> None:
    loaded = read(TEXT.replace("  psk_file: old\n  psk_next_file: new\n", ""))
    find = ike_config(loaded.configuration).preshared_keys
    assert list(find("198.51.100.7")) == []
    assert len(find("203.0.113.1")) == 2


def test_all_keys_have_a_name(read: Read) -> None:
    settings = read().configuration.ipsec
    assert key_names(settings) == [
        "psk",
        "psk_next",
        "psk from 203.0.113.0/24",
        "psk_next from 203.0.113.0/24",
        "psk from 203.0.113.77/32",
        "psk from 2001:db8::/32",
    ]
    assert "long and random" not in repr(settings)


def test_a_group_is_warned_of_with_the_reason(read: Read) -> None:
    loaded = read(TEXT.replace("keys:\n", "keys:\n    - {group: branch, psk_file: group}\n"))
    (warning,) = loaded.warnings
    assert str(warning).split(": ", 1)[1] == (
        "ipsec.keys[branch].group: aggressive mode sends whoever can name the group a hash, to "
        "search for its key offline (CVE-2002-1623): an auditor will find it; use main mode if "
        "the clients can, which is an empty group name there"
    )
    config = ike_config(loaded.configuration)
    assert {name: key.name for name, key in config.groups.items()} == {
        b"branch": "psk of group branch"
    }
    assert [key.name for key in config.preshared_keys("198.51.100.7")] == ["psk", "psk_next"]


def test_two_keys_are_nothing_to_warn_of_but_weak_ones_are(read: Read) -> None:
    (warning,) = read(new="hunter2").warnings[:1]
    assert "ipsec.psk_next_file: the pre-shared key is weak" in str(warning)
    assert len(read(new="hunter2").warnings) == 2, "it is given twice"
    assert len(read(house="häuser, häuser, häuser, häuser").warnings) == 1


def test_a_network_is_one_of_either_family(read: Read) -> None:
    networks = [key.network for key in read().configuration.ipsec.keys]
    assert networks[1] == IPv4Network("203.0.113.77/32")


# A change of the key under a running server.


def desk_of(lab: Lab) -> Operations:
    simulation = lab.simulation
    return Operations(
        configuration(),
        lab.server.gateway,
        clock=lambda: simulation.now,
        wall=lambda: simulation.now + 1e9,
        flush=lambda: None,
    )


def reloaded(lab: Lab, read: Read, **files: str) -> None:
    ipsec = configuration().ipsec.with_credentials(read(**files).configuration.ipsec)
    lab.server.gateway.replace_credentials(replace(configuration(), ipsec=ipsec))


def test_a_change_of_keys_client_by_client(read: Read) -> None:
    lab = Lab()
    desk = desk_of(lab)
    before = lab.client("u1", "198.51.100.11")
    assert lab.run(10, lambda: before.state is ClientState.UP)
    reloaded(lab, read, old=PSK.decode())
    assert before.state is ClientState.UP
    late = lab.client("u2", "198.51.100.12", Nat("198.51.100.12"), psk=PSK)
    first = lab.client("u3", "198.51.100.13", psk=NEW.encode())
    assert lab.run(10, lambda: late.state is first.state is ClientState.UP)
    rows = sessions_from_json(Response.parse(desk.handle(Request("sessions")).build()).result)
    assert {row.user: row.key for row in rows} == {"u1": "psk", "u2": "psk", "u3": "psk_next"}
    status = status_from_json(Response.parse(desk.handle(Request("status")).build()).result)
    assert [(row.key, row.peers, row.last is None) for row in status.keys][:3] == [
        ("psk", 2, False),
        ("psk_next", 1, False),
        ("psk from 203.0.113.0/24", 0, True),
    ]
    assert "PRE-SHARED KEY                PEERS  LAST LOGIN" in status_text(status)
    assert "psk from 203.0.113.0/24           0  never" in status_text(status)
    assert [attempt.key for attempt in lab.server.gateway.attempts] == ["psk", "psk", "psk_next"]
    assert lab.server.noted("authenticated as 198.51.100.13 with psk_next, ")
    assert lab.server.noted("authenticated as 198.51.100.11, "), "there was one key then"
    reloaded(lab, read, old="another: a long and random pre-shared key")
    refused = lab.client("u4", "198.51.100.14", psk=PSK)
    assert not lab.run(10, lambda: refused.state is ClientState.UP)
    assert before.state is late.state is ClientState.UP


def test_an_attempt_says_with_which_key() -> None:
    attempt = Attempt(1, 0.0, 0.0, "192.0.2.1", 500, key="psk_next")
    assert re.search(r"^pre-shared key +psk_next$", attempt_text(attempt), re.MULTILINE)


def test_one_key_is_not_worth_a_table() -> None:
    lab = Lab()
    status = status_from_json(Response.parse(desk_of(lab).handle(Request("status")).build()).result)
    assert status.keys == (KeyRow("psk", 0, None),)
    assert "PRE-SHARED" not in status_text(status)


def test_the_use_of_a_key_outlives_a_reload() -> None:
    use = KeyUse(["psk", "psk_next"])
    use.used("psk", 5.0)
    use.used("unknown", 6.0)
    use.replace(["psk_next", "psk"])
    assert list(use) == [("psk_next", None), ("psk", 5.0)]
    assert len(use) == 2


def test_a_reload_takes_keys_and_says_what_it_does_not_take(
    read: Read, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = read().configuration
    gateway = Gateway(before, os.urandom, time.time)

    async def own_networks() -> list[IPv4Network]:
        return []

    async def prepare(_: Configuration) -> None:
        pass

    def nothing(*_: object) -> None:
        pass

    async def reload() -> Changes:
        return await reloader.reload()

    path = tmp_path / "l2gate.yaml"
    reloader = Reloader(path, before, gateway, lambda: 0.0, own_networks, prepare, nothing, nothing)
    read(old="yet another: a long and random pre-shared key")
    changes = asyncio.run(reload())
    assert changes.credentials
    assert "keys changed" in changes.text()
    keys = gateway.ike._context.config.preshared_keys("198.51.100.7")
    assert keys[0].secret.startswith(b"yet another")
    assert "take effect" not in caplog.text
    read(TEXT.replace("ipsec:\n", "ipsec:\n  proposals: legacy\n"))
    assert asyncio.run(reload()).sections == ("ipsec",)
    assert "the changes in ipsec take effect at the next start" in caplog.text
    keys = gateway.ike._context.config.preshared_keys("198.51.100.7")
    assert keys[0].secret == OLD.encode()
