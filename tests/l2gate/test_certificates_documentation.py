"""docs/certificates.md: its commands, run with the real OpenSSL, make what a login needs."""

import re
import subprocess
from pathlib import Path
from shutil import which

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import pkcs12

from ipsec.credentials import Credentials
from ipsec.events import NegotiationFailed, PeerAuthenticated
from ipsec.trust import Trust
from l2gate.configuration import Loaded, load
from l2gate.configuration.load import today
from l2gate.settings import ike_config
from tests.support.ike import Pair, config
from tests.support.prerequisites import need

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "certificates.md").read_text()
*MAKING, REVOKING = re.findall(r"```sh\n(.*?)```", TEXT, re.S)
REST = """
server: {name: vpn.example.com}
departments: {default: {pool: 172.16.9.0/24, gateway: 172.16.9.1}}
users: [{name: bob, password: pw}]
"""


def run(script: str, directory: Path) -> None:
    subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=directory,
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all that the commands make, and a configuration that names it."""
    need("" if which("openssl") else "openssl is not installed")
    directory = tmp_path_factory.mktemp("ca")
    (directory / "vpn.cnf").write_text(re.findall(r"```ini\n(.*?)```", TEXT, re.S)[0])
    for script in MAKING:
        run(script, directory)
    path = directory / "l2gate.yaml"
    path.write_text(re.findall(r"```yaml\n(.*?)```", TEXT, re.S)[0] + REST)
    path.chmod(0o600)
    return directory


def loaded(made: Path) -> Loaded:
    return load(made / "l2gate.yaml")


def client(made: Path) -> Credentials:
    """Return what a device gets."""
    content = (made / "laptop.p12").read_bytes()
    key, certificate, more = pkcs12.load_key_and_certificates(content, b"change-this")
    assert isinstance(key, RSAPrivateKey)
    assert certificate is not None
    return Credentials((certificate,), key, Trust(tuple(more)), today)


def login(made: Path) -> Pair:
    server = ike_config(loaded(made).configuration)
    mine = config(preshared_keys=lambda host: (), credentials=client(made))
    pair = Pair(mine, server)
    pair.connect()
    pair.simulation.run(60.0, pair.established)
    return pair


def test_nothing_is_to_be_said_of_what_they_make(made: Path) -> None:
    assert loaded(made).warnings == ()


@pytest.mark.parametrize(
    ("file", "purpose"), [("server.pem", "sslserver"), ("laptop.pem", "sslclient")]
)
def test_openssl_is_strict_about_it(made: Path, file: str, purpose: str) -> None:
    run(f"openssl verify -x509_strict -purpose {purpose} -CAfile ca.pem {file}", made)
    run(f"openssl verify -crl_check -CRLfile ca.crl -CAfile ca.pem {file}", made)


def test_what_windows_and_macos_look_for_is_there(made: Path) -> None:
    server = x509.load_pem_x509_certificate((made / "server.pem").read_bytes())
    usages = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {usage.dotted_string for usage in usages} == {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.8.2.2"}
    assert names.get_values_for_type(x509.DNSName) == ["vpn.example.com"]


def test_a_client_logs_in_until_it_is_revoked(made: Path) -> None:
    pair = login(made)
    assert pair.established()
    (event,) = pair.server.told(PeerAuthenticated)
    assert str(event.identity) == "CN=laptop,O=Example"
    run(REVOKING, made)
    pair = login(made)
    assert not pair.established()
    assert "is revoked" in pair.server.told(NegotiationFailed)[0].why
