"""Certificates in the configuration: what is read, each mistake, and what is unwise."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.x509 import Certificate

from ipsec.credentials import Credentials
from l2gate.configuration import ConfigurationError, IpsecSettings, Loaded, load
from tests.support.certificates import (
    CLIENT_AUTH,
    DAY,
    ENCRYPTS,
    SERVER_AUTH,
    TODAY,
    Authority,
    authority,
    client_certificate,
    ec_key,
    key_pem,
    pem,
    rsa_key,
    server_certificate,
)

PSK = "ZZp4u9mVbC7kTqRx3sWd8yNe"
MIDDLE = Authority("Middle CA", authority())
KEYS = {
    "certificate": "server.pem",
    "private_key": "server.key",
    "client_ca": ["ca.pem"],
    "crl": ["ca.crl"],
}
GOOD = {
    "server.pem": pem(server_certificate()),
    "server.key": key_pem(rsa_key("vpn.example.com")),
    "ca.pem": pem(authority().certificate),
    "ca.crl": authority().revoke(client_certificate()).public_bytes(Encoding.PEM),
}


class Files:
    """A configuration with certificates, of which a test changes something."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def load(
        self,
        files: dict[str, bytes] | None = None,
        *,
        without: Sequence[str] = (),
        today: datetime = TODAY,
        name: str = "vpn.example.com",
        **keys: object,
    ) -> Loaded:
        ipsec = {key: value for key, value in {**KEYS, **keys}.items() if key not in without}
        department = {"pool": "172.16.9.0/24", "gateway": "172.16.9.1"}
        sections = {
            "server": {"name": name},
            "ipsec": ipsec,
            "departments": {"default": department},
            "users": [{"name": "bob", "password": "pw"}],
        }
        text = yaml.safe_dump(sections).encode()
        for file, content in {**GOOD, **(files or {}), "l2gate.yaml": text}.items():
            path = self.directory / file
            path.write_bytes(content)
            path.chmod(0o600)
        return load(self.directory / "l2gate.yaml", calendar=lambda: today)

    def ipsec(self, files: dict[str, bytes] | None = None, **changes: object) -> IpsecSettings:
        """Return the settings, of which there is nothing to say."""
        loaded = self.load(files, **changes)  # type: ignore[arg-type]
        assert loaded.warnings == ()
        return loaded.configuration.ipsec

    def credentials(self, files: dict[str, bytes] | None = None, **changes: object) -> Credentials:
        found = self.ipsec(files, **changes).credentials
        assert found is not None
        return found

    def mistakes(self, files: dict[str, bytes] | None = None, **changes: object) -> str:
        with pytest.raises(ConfigurationError) as caught:
            self.load(files, **changes)  # type: ignore[arg-type]
        texts = [problem.text for problem in caught.value.problems]
        return "\n".join(texts).replace(f"{self.directory}/", "")

    def warnings(self, files: dict[str, bytes] | None = None, **changes: object) -> str:
        loaded = self.load(files, **changes)  # type: ignore[arg-type]
        return "\n".join(problem.text for problem in loaded.warnings)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_certificates_alone(files: Files) -> None:
    ipsec = files.ipsec()
    assert ipsec.psk is None
    assert ipsec.credentials is not None
    assert ipsec.credentials.chain == (server_certificate(),)
    assert ipsec.credentials.trust.authorities == (authority().certificate,)
    (revocation,) = ipsec.credentials.trust.revocations
    assert revocation.serial_numbers == {client_certificate().serial_number}
    assert ipsec.credentials.calendar() == TODAY


def test_certificates_beside_a_pre_shared_key(files: Files) -> None:
    ipsec = files.ipsec(psk=PSK)
    assert ipsec.psk == PSK.encode()
    assert ipsec.credentials is not None


def test_a_certificate_with_its_chain_and_several_authorities(files: Files) -> None:
    leaf = MIDDLE.issue("vpn.example.com", usages=SERVER_AUTH, names=["vpn.example.com"])
    other = Authority("Another CA")
    credentials = files.credentials(
        {
            "server.pem": pem(leaf, MIDDLE.certificate),
            "ca.pem": pem(authority().certificate, MIDDLE.certificate),
            "other.pem": pem(other.certificate),
            "other.crl": other.revoke().public_bytes(Encoding.DER),
        },
        client_ca=["ca.pem", "other.pem"],
        crl=["other.crl", "ca.crl"],
    )
    assert credentials.chain == (leaf, MIDDLE.certificate)
    assert len(credentials.trust.authorities) == 3
    assert {each.issuer for each in credentials.trust.revocations} == {other.name, authority().name}


def test_the_newest_list_of_an_authority_counts(files: Files) -> None:
    old = authority().revoke(last=TODAY - 9 * DAY, next_update=TODAY - 2 * DAY)
    credentials = files.credentials(
        {"old.crl": old.public_bytes(Encoding.DER)}, crl=["ca.crl", "old.crl"]
    )
    (revocation,) = credentials.trust.revocations
    assert revocation.serial_numbers == {client_certificate().serial_number}


def test_an_authority_with_a_new_key_has_two_lists(files: Files) -> None:
    """What it revoked under its old key stays revoked."""
    renewed = Authority(key="renewed")
    new = renewed.revoke(last=TODAY).public_bytes(Encoding.DER)
    credentials = files.credentials(
        {"ca.pem": pem(authority().certificate, renewed.certificate), "new.crl": new},
        crl=["ca.crl", "new.crl"],
    )
    old, _ = credentials.trust.revocations
    assert old.serial_numbers == {client_certificate().serial_number}


def test_a_trusted_certificate_needs_no_lists(files: Files) -> None:
    assert files.credentials(without=["crl"]).trust.revocations == ()


def test_no_key_is_in_the_repr(files: Files) -> None:
    text = repr(files.load().configuration)
    assert "RSAPrivateKey" not in text
    assert "Credentials" not in text


NOT_AN_AUTHORITY = authority().issue("laptop")
INDIRECT = x509.IssuingDistributionPoint(None, None, False, False, None, True, False)
ENCRYPTED = rsa_key("vpn.example.com").private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"server.pem": b""}, "ipsec.certificate: expected certificates in PEM in server.pem"),
        (
            {"server.pem": server_certificate().public_bytes(Encoding.DER)},
            "ipsec.certificate: expected certificates in PEM in server.pem",
        ),
        (
            {"server.pem": pem(authority().issue(key=ec_key("curve"))), "server.key": b"x"},
            "ipsec.private_key: expected a private key in PEM in server.key",
        ),
        ({"server.key": b""}, "ipsec.private_key: expected a private key in PEM in server.key"),
        (
            {"server.key": ENCRYPTED},
            "ipsec.private_key: expected a key without a passphrase in server.key",
        ),
        (
            {"server.key": key_pem(ec_key("curve"))},
            "ipsec.private_key: expected an RSA key in server.key",
        ),
        (
            {"server.key": key_pem(rsa_key("laptop"))},
            "ipsec.private_key: is not the key of the first certificate in the file of "
            "'certificate'",
        ),
        (
            {"server.pem": pem(authority().issue(key=rsa_key("short", 1024)))},
            "ipsec.certificate: expected certificates with RSA keys of 2048 to 8192 bits in "
            "server.pem",
        ),
        (
            {"ca.pem": pem(NOT_AN_AUTHORITY)},
            "ipsec.client_ca: CN=laptop,O=Example in ca.pem is no certificate of an authority "
            "(basicConstraints CA:TRUE)",
        ),
        (
            {"ca.crl": b"what"},
            "ipsec.crl: expected a revocation list in PEM or DER in ca.crl",
        ),
        (
            {"ca.crl": MIDDLE.revoke().public_bytes(Encoding.DER)},
            "ipsec.crl: expected a revocation list of an authority in 'client_ca', not of "
            "CN=Middle CA,O=Example, in ca.crl",
        ),
        (
            {"ca.crl": Authority(key="laptop").revoke().public_bytes(Encoding.DER)},
            "ipsec.crl: expected a revocation list of an authority in 'client_ca', not of "
            "CN=Example CA,O=Example, in ca.crl",
        ),
        (
            {"ca.crl": authority().revoke(extra=[(INDIRECT, True)]).public_bytes(Encoding.DER)},
            "ipsec.crl: expected a complete revocation list, not one with 2.5.29.28, in ca.crl",
        ),
        (
            {"server.pem": pem(server_certificate(), *[authority().certificate] * 8)},
            "ipsec.certificate: expected at most 8 certificates",
        ),
        (
            {
                "server.pem": pem(
                    authority().issue("vpn.example.com", subject=x509.Name([]), names=["a.example"])
                )
            },
            "ipsec.certificate: has no subject to be the server's identity: set 'identity'",
        ),
    ],
)
def test_one_mistake(files: Files, changed: dict[str, bytes], told: str) -> None:
    lines = files.mistakes(changed).splitlines()
    assert told in lines
    assert all("crl" in line or line == told for line in lines), lines


@pytest.mark.parametrize(
    ("without", "changed", "told"),
    [
        (
            ["private_key"],
            {},
            "ipsec.certificate: needs its key: add for example 'private_key: server.key'",
        ),
        (
            ["client_ca", "crl"],
            {},
            "ipsec.certificate: needs authorities: add for example 'client_ca: ca.pem'",
        ),
        (
            ["certificate", "client_ca", "crl"],
            {"psk": PSK},
            "ipsec.private_key: has no effect without 'certificate': add that, or remove this",
        ),
        (
            ["certificate", "private_key", "crl"],
            {"psk": PSK},
            "ipsec.client_ca: has no effect without 'certificate': add that, or remove this",
        ),
        (
            [],
            {"private_key": "nowhere"},
            "ipsec.private_key: nowhere cannot be read: No such file or directory",
        ),
    ],
)
def test_a_mistake_in_the_keys(
    files: Files, without: list[str], changed: dict[str, object], told: str
) -> None:
    assert files.mistakes(without=without, **changed) == told


def leaf(**settings: object) -> dict[str, bytes]:
    """Return a certificate for the server that is like the good one but for these settings."""
    good = {"usages": SERVER_AUTH, "names": ["vpn.example.com"]}
    issued: Certificate = authority().issue("vpn.example.com", **{**good, **settings})  # type: ignore[arg-type]
    return {"server.pem": pem(issued)}


@pytest.mark.parametrize(
    ("changed", "settings", "told"),
    [
        (
            leaf(names=()),
            {},
            "ipsec.certificate: has no subject alternative name: Windows, macOS and iOS look for "
            "the name that they dial there",
        ),
        (
            leaf(names=["vpn.example.org", "192.0.2.1"]),
            {},
            "ipsec.certificate: is for vpn.example.org, 192.0.2.1 and not for server.name, "
            "'vpn.example.com': Windows, macOS and iOS look for the name that they dial there",
        ),
        (leaf(names=["*.example.com"]), {}, ""),
        (leaf(names=["VPN.example.com"]), {}, ""),
        (leaf(names=["vpn.example.org"]), {"name": "l2gate"}, ""),
        (leaf(names=["vpn.example.com", "192.0.2.1"]), {"identity": "192.0.2.1"}, ""),
        (
            leaf(),
            {"identity": "vpn.example.net"},
            "ipsec.identity: vpn.example.net is no name in the certificate, where clients look "
            "for it",
        ),
        (
            leaf(usages=CLIENT_AUTH),
            {},
            "ipsec.certificate: has no extended key usage serverAuth, which Windows demands\n"
            "ipsec.certificate: has neither serverAuth nor IP security IKE intermediate "
            "(1.3.6.1.5.5.8.2.2) among its extended key usages, one of which macOS and iOS demand",
        ),
        (
            leaf(usages=SERVER_AUTH[1:]),
            {},
            "ipsec.certificate: has no extended key usage serverAuth, which Windows demands",
        ),
        (
            leaf(usage=ENCRYPTS),
            {},
            "ipsec.certificate: has no key usage digitalSignature: clients may refuse it",
        ),
        (
            leaf(days=39),
            {},
            "ipsec.certificate: CN=vpn.example.com,O=Example expires on 2026-03-30: renew it, "
            "then reload",
        ),
        (
            leaf(days=5),
            {},
            "ipsec.certificate: CN=vpn.example.com,O=Example expired on 2026-02-24: renew it, "
            "then reload",
        ),
        (
            leaf(start=TODAY + DAY),
            {},
            "ipsec.certificate: CN=vpn.example.com,O=Example is not valid before 2026-03-02",
        ),
        (
            {},
            {"today": TODAY + 8 * DAY},
            "ipsec.crl: the list of CN=Example CA,O=Example was good until 2026-03-08: until there "
            "is a new one, all clients of this authority are refused",
        ),
        (
            {"server.pem": pem(server_certificate(), MIDDLE.certificate)},
            {},
            "ipsec.certificate: CN=Middle CA,O=Example has not issued the certificate before it: "
            "begin with the server's own, and let each be followed by its issuer's",
        ),
    ],
)
def test_what_is_unwise(
    files: Files, changed: dict[str, bytes], settings: dict[str, object], told: str
) -> None:
    assert files.warnings(changed, **settings) == told


def test_a_key_that_everybody_may_read(files: Files) -> None:
    files.load()
    (files.directory / "server.key").chmod(0o644)
    loaded = load(files.directory / "l2gate.yaml", calendar=lambda: TODAY)
    (warning,) = loaded.warnings
    assert warning.text.startswith("holds secrets, and every user of this system may read it")
    assert warning.place.file.endswith("server.key")
