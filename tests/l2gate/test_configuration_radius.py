"""The section radius: what it comes to, and what it is warned of."""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from aaa import Source
from aaa.radius.client import Server
from l2gate.configuration import Loaded, load
from l2gate.configuration.model import DynamicClient, DynamicSettings, RadiusSettings
from l2gate.radius import pauses_of
from l2gate.settings import link_config
from tests.support.tls_certificates import Authority

SECRET = "ZZp4u9mVbC7kTqRx3sWd8yNe"
TEXT = f"""
ipsec: {{psk: {SECRET}}}
departments: {{default: {{pool: 172.16.9.0/24, gateway: 172.16.9.1, authenticate: [radius]}}}}
radius:
"""
LEAST = f"  servers: [{{address: 192.0.2.10, secret: {SECRET}}}]\n"

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "radius.md"

Load = Callable[[str], Loaded]


@pytest.fixture
def read(tmp_path: Path) -> Load:
    def read(text: str) -> Loaded:
        path, secret = tmp_path / "l2gate.yaml", tmp_path / "radius-secret"
        path.write_text(text)
        secret.write_text(f"{SECRET}\n")
        for file in (path, secret):
            file.chmod(0o600)
        return load(path, [IPv4Network("192.168.1.0/24")])

    return read


def warned(loaded: Loaded) -> list[str]:
    return [problem.text.partition(": ")[0] for problem in loaded.warnings]


def test_the_least_that_works_needs_no_user_in_the_file(read: Load) -> None:
    loaded = read(TEXT + LEAST)
    assert loaded.warnings == ()
    assert loaded.configuration.radius == RadiusSettings(
        (Server("192.0.2.10", 1812, SECRET.encode()),),
        (Server("192.0.2.10", 1813, SECRET.encode()),),
        timeout=9.0,
        dead_time=60.0,
        nas_identifier="l2gate",
        interim_interval=600.0,
    )
    directory = loaded.configuration.directory
    assert directory.departments["default"].authenticate == (Source.RADIUS,)
    assert directory.own_networks == (IPv4Network("192.168.1.0/24"),)


def test_everything(read: Load) -> None:
    text = """\
  servers:
    - {address: 192.0.2.10, secret_file: radius-secret, port: 1645, accounting_port: 1646}
    - {address: "2001:db8::10", secret_file: radius-secret}
  timeout: 60
  dead_time: 10
  nas_identifier: vpn.example.com
  accounting: false
  interim_interval: false
  dynamic_authorization:
    listen: 192.0.2.1
    port: 1700
    clients: [{address: 192.0.2.10, secret_file: radius-secret}]
"""
    loaded = read(TEXT + text)
    assert loaded.warnings == ()
    secret = SECRET.encode()
    assert loaded.configuration.radius == RadiusSettings(
        (Server("192.0.2.10", 1645, secret), Server("2001:db8::10", 1812, secret)),
        (),
        timeout=60.0,
        dead_time=10.0,
        nas_identifier="vpn.example.com",
        interim_interval=None,
        dynamic=DynamicSettings(
            IPv4Address("192.0.2.1"), 1700, (DynamicClient("192.0.2.10", secret),)
        ),
    )
    assert SECRET not in repr(loaded.configuration)


def test_the_example_of_the_documentation(read: Load) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    loaded = read(f"ipsec: {{psk: {SECRET}}}\n{example}")
    assert loaded.warnings == ()
    assert loaded.configuration.radius is not None
    assert len(loaded.configuration.radius.servers) == 2


def test_what_is_unwise(read: Load) -> None:
    weak = "  servers: [{address: 192.0.2.10, secret: testing, require_message_authenticator: no}]"
    assert warned(read(TEXT + weak)) == [
        "radius.servers[192.0.2.10].secret",
        "radius.servers[192.0.2.10].require_message_authenticator",
    ]


def test_servers_that_nobody_asks(read: Load) -> None:
    text = TEXT.replace("[radius]", "[local]") + LEAST
    assert warned(read(text)) == ["there are no users"]
    assert "radius" in warned(read(text + "  accounting: false\n"))


RELAY = LEAST + "  relay_eap: true\n"
EAP = "ppp: {authentication: [ms-chapv2, eap]}\n"


def test_eap_that_passes_through(read: Load) -> None:
    loaded = read(TEXT + RELAY + EAP)
    assert loaded.warnings == ()
    assert link_config(loaded.configuration).relay_eap
    assert not link_config(read(TEXT + LEAST + EAP).configuration).relay_eap


def test_eap_that_passes_to_nobody(read: Load) -> None:
    (unused,) = read(TEXT + RELAY).warnings
    assert unused.text == "radius.relay_eap: has no effect: add 'eap' to ppp.authentication"
    nobody, unasked = read(TEXT.replace("[radius]", "[local]") + RELAY + EAP).warnings
    assert "there are no users" in nobody.text
    assert unasked.text.startswith("radius.relay_eap: has no effect: add 'radius' to")
    methods = "ppp: {authentication: [eap], eap: {methods: [mschapv2]}}\n"
    assert warned(read(TEXT + RELAY + methods)) == ["ppp.eap"]
    both = TEXT.replace("[radius]", "[local, radius]")
    assert warned(read(both + RELAY + methods)) == []


@pytest.mark.parametrize(
    ("settings", "warnings"),
    [
        ("authentication: [eap], eap: {methods: [tls], FILES}", ["ppp.eap"]),
        ("authentication: [ms-chapv2, eap], eap: {methods: [tls], FILES}", ["ppp.eap"]),
        ("authentication: [eap], eap: {methods: [tls, mschapv2], FILES}", []),
    ],
)
def test_eap_by_certificate_alone_is_of_no_use_to_users_of_radius(
    read: Load, tmp_path: Path, settings: str, warnings: list[str]
) -> None:
    files = Authority(tmp_path).for_server()
    keys = (
        f"certificate: '{files.certificate}', private_key: '{files.private_key}', "
        f"client_ca: '{files.client_ca}'"
    )
    ppp = f"ppp: {{{settings.replace('FILES', keys)}}}\n"
    assert warned(read(TEXT + LEAST + ppp)) == warnings
    assert "ppp.eap" not in warned(read(TEXT + RELAY + "ppp: {authentication: [eap]}\n"))
    local = "users: [{name: bob, password: correct horse battery}]\n"
    by_certificate = "ppp.eap" in warned(read(TEXT + LEAST + ppp + local))
    assert by_certificate == (settings.startswith("authentication: [eap]") and bool(warnings))


@pytest.mark.parametrize("timeout", range(3, 61))
def test_a_server_has_the_whole_time_to_answer(timeout: int) -> None:
    pauses = pauses_of(float(timeout))
    assert sum(pauses) == timeout
    assert min(pauses) >= 2.0
    assert max(pauses) < 8.0
