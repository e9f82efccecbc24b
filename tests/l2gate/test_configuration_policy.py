"""What departments allow, as it is read and what is warned of."""

from ipaddress import IPv4Network, ip_network
from pathlib import Path

import pytest

from aaa import Allowed, Hours, Policy, Span
from l2gate.configuration import ConfigurationError, Loaded, load

TEXT = """
server: {firewall: true}
ipsec: {psk: ZZp4u9mVbC7kTqRx3sWd8yNe}
departments:
  default: {pool: 172.16.9.0/24, gateway: 172.16.9.1, dns: [192.168.1.53, 192.168.1.54]MORE}
users: [{name: bob, password: pw}]
"""


def loaded(tmp_path: Path, more: str = "") -> Loaded:
    path = tmp_path / "l2gate.yaml"
    path.write_text(TEXT.replace("MORE", f", {more}" if more else ""))
    path.chmod(0o600)
    return load(path)


def policy(tmp_path: Path, more: str) -> Policy:
    return loaded(tmp_path, more).configuration.directory.departments["default"].policy


def test_everything_is_allowed_where_nothing_is_said(tmp_path: Path) -> None:
    assert policy(tmp_path, "") == Policy(allow=None, client_to_client=False)


def test_destinations(tmp_path: Path) -> None:
    items = (
        "{to: 192.168.1.80, proto: tcp, ports: [443, 8000-8100]}, "
        '{to: "2001:db8:7::/48", proto: icmp}, {to: 0.0.0.0/0, proto: udp, ports: 53}'
    )
    read = loaded(tmp_path, f"client_to_client: yes, allow: [{items}]")
    assert read.warnings == ()
    assert read.configuration.directory.departments["default"].policy == Policy(
        (
            Allowed(ip_network("192.168.1.80/32"), "tcp", ((443, 443), (8000, 8100))),
            Allowed(ip_network("2001:db8:7::/48"), "icmp"),
            Allowed(ip_network("0.0.0.0/0"), "udp", ((53, 53),)),
        ),
        client_to_client=True,
    )


def test_an_empty_list_allows_nothing(tmp_path: Path) -> None:
    assert policy(tmp_path, "allow: []").allow == ()


def test_name_servers_that_nobody_may_ask_are_warned_of(tmp_path: Path) -> None:
    items = "{to: 192.168.1.0/26, proto: tcp}, {to: 192.168.1.53, proto: udp, ports: 50-60}"
    (warning,) = loaded(tmp_path, f"allow: [{items}]").warnings
    assert "departments.default.allow: does not let clients ask 192.168.1.54" in str(warning)
    assert "'{to: 192.168.1.54, proto: udp, ports: [53]}'" in str(warning)


def test_without_the_firewall_there_is_nothing_to_allow(tmp_path: Path) -> None:
    path = tmp_path / "l2gate.yaml"
    more = ", allow: [], client_to_client: true"
    path.write_text(TEXT.replace("MORE", more).replace("firewall: true", "firewall: false"))
    path.chmod(0o600)
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    why = "has no effect with 'server.firewall: false': remove one of the two"
    assert [str(problem).split(": ", 1)[1] for problem in caught.value.problems] == [
        f"departments.default.allow: {why}",
        f"departments.default.client_to_client: {why}",
    ]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("Mo-Fr 08:00-18:00", Span((0, 1, 2, 3, 4), 480, 1080)),
        ("Sa,Su 9:00 - 24:00", Span((5, 6), 540, 0)),
        ("Fr-Mo,We 00:00-00:01", Span((0, 2, 4, 5, 6), 0, 1)),
        ("22:00-06:00", Span((0, 1, 2, 3, 4, 5, 6), 1320, 360)),
    ],
)
def test_hours(tmp_path: Path, text: str, span: Span) -> None:
    assert policy(tmp_path, f'hours: "{text}"').hours == Hours((span,))


def test_ends_of_sessions(tmp_path: Path) -> None:
    read = policy(tmp_path, "session_timeout: 3600, idle_timeout: 600, sessions: replace")
    assert (read.session_timeout, read.idle_timeout, read.replace_sessions) == (3600.0, 600.0, True)


def test_rates_and_mtu(tmp_path: Path) -> None:
    read = policy(tmp_path, "rate: {up: 512k, down: 10M}, mtu: 1280")
    assert (read.rate_up, read.rate_down, read.mtu) == (512_000, 10_000_000, 1280)
    assert policy(tmp_path, "rate: {down: 64000}").rate_up is None


def test_an_mtu_of_no_use_is_warned_of(tmp_path: Path) -> None:
    (warning,) = loaded(tmp_path, "mtu: 1450").warnings
    assert "departments.default.mtu: has no effect: ppp.mtu is 1400" in str(warning)
    (warning,) = loaded(tmp_path, 'mtu: 1279, pool6: "2001:db8:1::/56"').warnings
    assert "departments.default.mtu: clients get no IPv6" in str(warning)


def test_a_pool_within_a_network_of_the_server(tmp_path: Path) -> None:
    path = tmp_path / "l2gate.yaml"
    pool = "pool: 192.168.1.200-192.168.1.220"
    path.write_text(TEXT.replace("MORE", ", proxy_arp: true").replace("pool: 172.16.9.0/24", pool))
    path.chmod(0o600)
    read = load(path, [IPv4Network("192.168.1.0/24"), IPv4Network("10.0.0.0/8")])
    assert read.configuration.directory.departments["default"].policy.proxy_arp
