"""The IPv6 keys of departments and users, as they are read and where they are refused."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from l2gate.configuration import ConfigurationError, Loaded, load

PSK = "ZZp4u9mVbC7kTqRx3sWd8yNe"
TEXT = f"""
ipsec: {{psk: {PSK}}}
ppp: {{PPP}}
departments:
  default:
    pool: 172.16.9.0/24
    gateway: 172.16.9.1
    pool6: 2001:db8:1::/56
    dns: ["2001:db8::53", 192.168.1.53, "2001:db8::54", 192.168.1.54]
    routes: [192.168.0.0/16, "2001:db8:7::/48", "fd00::/8"]
    search_domains: corp.example.com
  hr: {{domains: hr, pool: 172.16.8.0/24, gateway: 172.16.8.1, pool6: "2001:db8:2::/63"}}
users:
- {{name: bob, password: pw, prefix6: "2001:db8:1:77::/64"}}
- {{name: ann@hr, password: pw, prefix6: "PREFIX"}}
- {{name: eve@hr, password: pw}}
"""


def loaded(tmp_path: Path, prefix: str = "2001:db8:ff::/64", ppp: str = "mru: 1400") -> Loaded:
    path = tmp_path / "l2gate.yaml"
    path.write_text(TEXT.replace("PREFIX", prefix).replace("PPP", ppp))
    path.chmod(0o600)
    return load(path, [IPv6Network("2001:db8:9::/64"), IPv4Network("10.0.0.0/8")])


def test_both_kinds_are_told_apart(tmp_path: Path) -> None:
    read = loaded(tmp_path)
    directory = read.configuration.directory
    department = directory.departments["default"]
    assert read.warnings == ()
    assert department.pool6 == IPv6Network("2001:db8:1::/56")
    assert department.gateway6 == IPv6Address("2001:db8:1::1")
    assert department.dns == (IPv4Address("192.168.1.53"), IPv4Address("192.168.1.54"))
    assert department.dns6 == (IPv6Address("2001:db8::53"), IPv6Address("2001:db8::54"))
    assert department.routes == (IPv4Network("192.168.0.0/16"),)
    assert department.routes6 == (IPv6Network("2001:db8:7::/48"), IPv6Network("fd00::/8"))
    assert directory.users["bob"].prefix6 == IPv6Network("2001:db8:1:77::/64")
    assert directory.users["eve@hr"].prefix6 is None


@pytest.mark.parametrize(
    ("prefix", "why"),
    [
        ("2001:db8:1:5::/64", "is in the pool6 of department 'default'"),
        ("2001:db8:2::/64", "is the server's own, the first of the pool6"),
        ("2001:db8:9::/64", "is in 2001:db8:9::/64, a network of this server"),
    ],
)
def test_fixed_prefixes_that_cannot_be(tmp_path: Path, prefix: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, prefix)
    assert f"users[ann@hr].prefix6: {prefix} {why}: choose another" in str(caught.value)


def test_a_fixed_prefix_is_of_one_link_and_of_one_user(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected a /64, such as 2001:db8:1:7::/64"):
        loaded(tmp_path, "2001:db8:2::/63")
    with pytest.raises(ConfigurationError, match="belongs to 'bob' already"):
        loaded(tmp_path, "2001:db8:1:77::/64")


def test_more_routes_than_an_advertisement_holds(tmp_path: Path) -> None:
    routes = ", ".join(f'"2001:db8:{n:x}::/48"' for n in range(0x1000, 0x1060))
    path = tmp_path / "l2gate.yaml"
    path.write_text(TEXT.replace('"fd00::/8"', routes).replace("PREFIX", "2001:db8:ff::/64"))
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="more than a Router Advertisement holds"):
        load(path)


@pytest.mark.parametrize("ppp", ["mtu: 1279", "mru: 1270"])
def test_links_too_small_for_ipv6_are_warned_of(tmp_path: Path, ppp: str) -> None:
    warnings = [problem.text for problem in loaded(tmp_path, ppp=ppp).warnings]
    assert warnings == [
        f"departments.{name}.pool6: clients get no IPv6, which needs ppp.mru and ppp.mtu of 1280 "
        "at least"
        for name in ("default", "hr")
    ]
