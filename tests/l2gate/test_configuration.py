"""What a configuration without mistakes comes to, and what it is warned of."""

import ssl
from collections.abc import Callable
from dataclasses import astuple, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from l2gate.configuration import (
    AuthenticationMethod,
    Certificates,
    Configuration,
    ConfigurationError,
    Loaded,
    Proposals,
    load,
)
from l2gate.settings import link_config
from ppp.config import EapMethod, Method
from tests.support.tls_certificates import CLIENT, DAY, Authority

PSK = "ZZp4u9mVbC7kTqRx3sWd8yNe"
MINIMAL = f"""\
ipsec: {{psk: {PSK}}}
departments:
  default: {{pool: 172.16.9.0/24, gateway: 172.16.9.1}}
users:
  - {{name: l2tpuser, password: secret}}
"""

Load = Callable[..., Loaded]


@pytest.fixture
def read(tmp_path: Path) -> Load:
    def write_and_load(text: str, **others: str) -> Loaded:
        path = tmp_path / "l2gate.yaml"
        for file, content in ((path, text), *((tmp_path / n, t) for n, t in others.items())):
            file.parent.mkdir(exist_ok=True)
            file.write_text(content)
            file.chmod(0o600)
        return load(path)

    return write_and_load


def clean(loaded: Loaded) -> Configuration:
    assert loaded.warnings == ()
    return loaded.configuration


def warned(loaded: Loaded) -> list[str]:
    return [f"{Path(p.place.file).name}:{p.place.line}: {p.text}" for p in loaded.warnings]


def test_the_least_that_works(read: Load) -> None:
    configuration = clean(read(MINIMAL))
    assert configuration.ipsec.psk == PSK.encode()
    assert configuration.ipsec.proposals is Proposals.DEFAULT
    assert configuration.ppp.authentication == (AuthenticationMethod.MS_CHAPV2,)
    assert configuration.l2tp.secret is None
    user = configuration.directory.users["l2tpuser"]
    assert (user.password, user.nt_hash, user.address, user.disabled) == (
        "secret",
        None,
        None,
        False,
    )
    department = configuration.directory.department_of("l2tpuser")
    assert department is not None
    assert str(department.pool) == "172.16.9.2-172.16.9.254"


def test_everything(read: Load) -> None:
    configuration = clean(
        read(
            """\
server:
  name: vpn.example.com
  listen: [192.0.2.1, "2001:db8::1"]
  tun: vpn0
  control_socket: /run/vpn.sock
  max_sessions: 100
ipsec:
  psk_file: secrets/psk
  proposals: legacy
  identity: vpn.example.com
  force_encapsulation: yes
  dpd_interval: off
  max_half_open: 10
l2tp:
  tunnel_name: gate
  tunnel_authentication: true
  secret: tunnel
  hello_interval: 90
ppp:
  authentication: [ms-chapv2, pap]
  mru: 1460
  mtu: 1280
departments:
  sales:
    domains: [sales.example.com, sales]
    pool: [172.16.1.200-172.16.1.250, 172.16.1.2 - 172.16.1.100, 172.16.1.128/30]
    gateway: 172.16.1.1
    dns: 192.168.1.53
    wins: [192.168.1.54, 192.168.1.55]
    max_sessions_per_user: 2
    routes: [192.168.0.0/16, 10.1.2.3]
    search_domains: [corp.example.com, _tcp.LAB-1.example.com]
users:
  - name: hb@sales
    nt_hash: 8846F7EAEE8FB117AD06BDD830B7586C
    address: 172.16.1.51
    disabled: true
""",
            **{"secrets/psk": f"{PSK}\n"},
        )
    )
    server, ipsec, l2tp, ppp = (
        configuration.server,
        configuration.ipsec,
        configuration.l2tp,
        configuration.ppp,
    )
    assert server.name == "vpn.example.com"
    assert server.listen == (IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1"))
    assert (server.tun, server.control_socket, server.max_sessions) == (
        "vpn0",
        Path("/run/vpn.sock"),
        100,
    )
    assert (ipsec.psk, ipsec.proposals, ipsec.identity) == (
        PSK.encode(),
        Proposals.LEGACY,
        "vpn.example.com",
    )
    assert (ipsec.force_encapsulation, ipsec.dpd_interval, ipsec.max_half_open) == (True, None, 10)
    assert (l2tp.tunnel_name, l2tp.secret, l2tp.hello_interval) == ("gate", b"tunnel", 90.0)
    assert ppp.authentication == (AuthenticationMethod.MS_CHAPV2, AuthenticationMethod.PAP)
    assert (ppp.mru, ppp.mtu) == (1460, 1280)
    sales = configuration.directory.departments["sales"]
    assert sales.domains == ("sales.example.com", "sales")
    assert (
        str(sales.pool)
        == "172.16.1.2-172.16.1.100, 172.16.1.129-172.16.1.130, 172.16.1.200-172.16.1.250"
    )
    assert sales.dns == (IPv4Address("192.168.1.53"),)
    assert sales.wins == (IPv4Address("192.168.1.54"), IPv4Address("192.168.1.55"))
    assert sales.max_sessions_per_user == 2
    assert sales.routes == (IPv4Network("192.168.0.0/16"), IPv4Network("10.1.2.3/32"))
    assert sales.search_domains == ("corp.example.com", "_tcp.LAB-1.example.com")
    user = configuration.directory.users["hb@sales"]
    assert user.nt_hash == bytes.fromhex("8846f7eaee8fb117ad06bdd830b7586c")
    assert (user.address, user.disabled) == (IPv4Address("172.16.1.51"), True)


@pytest.mark.parametrize(
    ("pool", "gateway", "expected"),
    [
        ("10.0.0.0/29", "10.0.0.1", "10.0.0.2-10.0.0.6"),
        ("10.0.0.0/29", "10.0.0.6", "10.0.0.1-10.0.0.5"),
        ("10.0.0.0/29", "10.0.0.3", "10.0.0.1-10.0.0.2, 10.0.0.4-10.0.0.6"),
        ("10.0.0.0/29", "10.9.0.1", "10.0.0.1-10.0.0.6"),
        ("10.0.0.0/31", "10.9.0.1", "10.0.0.0-10.0.0.1"),
        ("10.0.0.5/32", "10.9.0.1", "10.0.0.5"),
        ("10.0.0.5", "10.9.0.1", "10.0.0.5"),
    ],
)
def test_a_network_as_a_pool_is_its_hosts_without_the_gateway(
    read: Load, pool: str, gateway: str, expected: str
) -> None:
    text = MINIMAL.replace("172.16.9.0/24", pool).replace("172.16.9.1", gateway)
    assert str(clean(read(text)).directory.departments["default"].pool) == expected


@pytest.mark.parametrize("text", ["0123", "yes", "12e4", "1:30", "2026-11-21", "0x1F", "3.10"])
def test_a_password_is_the_characters_of_the_file(read: Load, text: str) -> None:
    configuration = clean(read(MINIMAL.replace("secret", text)))
    assert configuration.directory.users["l2tpuser"].password == text


def test_conf_d_adds_departments_and_users_in_order_of_name(read: Load) -> None:
    configuration = clean(
        read(
            MINIMAL,
            **{
                "conf.d/20-users.yml": "users: [{name: joe@lab, password: x}]\n",
                "conf.d/10-lab.yaml": (
                    "departments:\n  lab: {domains: [lab], pool: 10.1.0.0/24, gateway: 10.1.0.1}\n"
                    "users: [{name: ann@lab, password: x}]\n"
                ),
                "conf.d/.hidden.yaml": "nonsense: true\n",
                "conf.d/readme.txt": "nonsense: true\n",
            },
        )
    )
    assert list(configuration.directory.users) == ["l2tpuser", "ann@lab", "joe@lab"]
    assert list(configuration.directory.departments) == ["default", "lab"]


def test_a_section_may_stand_in_conf_d(read: Load) -> None:
    configuration = clean(read(MINIMAL, **{"conf.d/server.yaml": "server: {name: vpn}\n"}))
    assert configuration.server.name == "vpn"


def test_the_servers_own_networks_may_lie_beside_the_pools(tmp_path: Path) -> None:
    path = tmp_path / "l2gate.yaml"
    path.write_text(MINIMAL)
    path.chmod(0o600)
    networks = [IPv4Network("172.16.8.0/24"), IPv4Network("172.16.10.0/24")]
    assert load(path, networks).warnings == ()


def test_a_fixed_address_may_lie_outside_of_all_pools(read: Load) -> None:
    text = MINIMAL.replace("password: secret", "password: secret, address: 10.5.5.5")
    user = clean(read(text)).directory.users["l2tpuser"]
    assert user.address == IPv4Address("10.5.5.5")


def test_what_is_unwise_is_warned_of(read: Load, tmp_path: Path) -> None:
    text = (
        MINIMAL.replace(PSK, "hunter2hunter2hunter2")
        .replace("password: secret", "nt_hash: 8846f7eaee8fb117ad06bdd830b7586c")
        .replace("departments:", "ppp: {authentication: [ms-chapv2, chap-md5]}\ndepartments:")
    )
    assert warned(read(text)) == [
        "l2gate.yaml:1: ipsec.psk: the pre-shared key is weak: whoever takes part in one handshake "
        "can search for it offline (CVE-2018-5389); 24 random characters are safe",
        "l2gate.yaml:1: users with an nt_hash, such as 'l2tpuser', cannot log in by chap-md5, "
        "which needs the password itself",
    ]


@pytest.mark.parametrize("psk", ["password", "0123456789", "a" * 100, "Tr0ub4dor&3"])
def test_weak_keys(read: Load, psk: str) -> None:
    (warning,) = read(MINIMAL.replace(PSK, f'"{psk}"')).warnings
    assert "weak" in warning.text
    assert psk not in warning.text


def test_a_key_outside_of_ascii(read: Load) -> None:
    (warning,) = read(MINIMAL.replace(PSK, "schlüssel-für-die-würde-des-löwen")).warnings
    assert warning.text.endswith(
        "has characters outside ASCII, which some clients encode otherwise"
    )


def test_without_users_nobody_can_log_in(read: Load) -> None:
    text = MINIMAL.split("users:", maxsplit=1)[0]
    assert warned(read(text)) == ["l2gate.yaml:1: there are no users: nobody can log in"]


@pytest.mark.parametrize(
    ("mode", "may"), [(0o644, "read"), (0o604, "read"), (0o602, "change"), (0o640, "")]
)
def test_files_with_secrets_are_not_for_everybody(tmp_path: Path, mode: int, may: str) -> None:
    path, psk = tmp_path / "l2gate.yaml", tmp_path / "psk"
    path.write_text(MINIMAL.replace(f"psk: {PSK}", "psk_file: psk"))
    psk.write_text(PSK)
    for file in (path, psk):
        file.chmod(mode)
    expected = [
        f"{file}: holds secrets, and every user of this system may {may} it: chmod 600 {file}"
        for file in (path, psk)
        if may
    ]
    assert [str(warning) for warning in load(path).warnings] == expected


def test_no_secret_is_in_the_repr(read: Load) -> None:
    shown = repr(read(MINIMAL).configuration)
    assert PSK not in shown
    assert "secret'" not in shown


# EAP-TLS: files that fit together.


def with_tls(files: Certificates) -> str:
    paths = f"certificate: {files.certificate}, private_key: {files.private_key}"
    section = f"{{methods: [tls, mschapv2], {paths}, client_ca: {files.client_ca}}}"
    return f"{MINIMAL}ppp: {{authentication: [eap, ms-chapv2], eap: {section}}}\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    directory = tmp_path / "tls"
    directory.mkdir()
    return Authority(directory)


def test_eap_tls(read: Load, authority: Authority) -> None:
    files = authority.for_server()
    loaded = read(with_tls(files))
    assert loaded.warnings == ()
    assert loaded.configuration.ppp.certificates == files
    link = link_config(loaded.configuration)
    assert link.methods == (Method.EAP, Method.MS_CHAP_V2)
    assert link.eap_methods == (EapMethod.TLS, EapMethod.MS_CHAP_V2)
    assert link.tls is not None
    assert link.tls.verify_mode is ssl.CERT_REQUIRED


def test_the_files_of_eap_tls_are_relative_to_their_own(read: Load, authority: Authority) -> None:
    files = authority.for_server()
    near = Certificates(*(Path("tls", Path(str(f)).name) for f in astuple(files)))
    assert read(with_tls(near)).configuration.ppp.certificates == files


def test_files_that_do_not_fit_together(read: Load, authority: Authority) -> None:
    files, others = authority.for_server(), authority.for_server()
    mixed = replace(files, private_key=others.private_key)
    with pytest.raises(ConfigurationError, match="is not the key of the certificate"):
        read(with_tls(mixed))
    swapped = replace(files, certificate=files.private_key)
    with pytest.raises(ConfigurationError, match="expected a certificate in PEM"):
        read(with_tls(swapped))


def test_an_encrypted_key_is_not_asked_for_on_the_terminal(
    read: Load, authority: Authority
) -> None:
    files = authority.for_server()
    key = load_pem_private_key(files.private_key.read_bytes(), None)
    encryption = BestAvailableEncryption(b"secret")
    files.private_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    with pytest.raises(ConfigurationError, match="in PEM and not encrypted"):
        read(with_tls(files))


def test_what_is_unwise_about_certificates(read: Load, authority: Authority) -> None:
    certificate = authority.issue("us", CLIENT, ends=-DAY)
    certificate[1].chmod(0o644)
    files = Certificates(*certificate, authority.file)
    texts = [warning.text for warning in read(with_tls(files)).warnings]
    assert len(texts) == 3
    assert any("every user of this system may read it" in text for text in texts)
    assert any("is not valid now" in text for text in texts)
    assert any("is not for server authentication" in text for text in texts)


def test_who_cannot_change_a_password(read: Load) -> None:
    text = MINIMAL.replace("secret}", "secret, must_change_password: true}")
    assert read(text).warnings == ()
    (warning,) = read(text + "ppp: {authentication: [pap]}\n").warnings
    assert "such as 'l2tpuser', cannot do so" in warning.text
