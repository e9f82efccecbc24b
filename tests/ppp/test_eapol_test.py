"""Our EAP against that of wpa_supplicant: its test program as the peer, over a little RADIUS."""

import subprocess
from pathlib import Path
from shutil import which
from threading import Thread

import pytest

from l2gate.configuration.eap import tls_context
from ppp.config import EapMethod, LinkConfig
from ppp.eap import EapAuthenticator
from ppp.eap_server import EapServer
from ppp.proofs import Proof
from tests.support.certificates import CLIENT, Authority, upn
from tests.support.ppp import NAME, PASSWORD, entropy
from tests.support.prerequisites import need
from tests.support.radius import SECRET, RadiusServer
from tests.support.tshark import PPP, malformed

MTU = 1400


def run(
    directory: Path, config: LinkConfig, network: str, mtu: int = MTU
) -> tuple[bool, RadiusServer, str]:
    """Let eapol_test log in; return whether it is content, our end, and what it printed."""
    need("" if which("eapol_test") else "eapol_test is not installed (Debian: eapoltest)")
    server = RadiusServer(
        lambda send: EapAuthenticator(EapServer(config, mtu, entropy()), entropy(), send), decide
    )
    file = directory / "network.conf"
    file.write_text(f"network={{\n key_mgmt=WPA-EAP\n{network}\n}}\n")
    thread = Thread(target=server.serve)
    thread.start()
    command = ["eapol_test", "-n", "-c", str(file), "-p", str(server.port), "-s", SECRET.decode()]
    done = subprocess.run([*command, "-t", "15"], capture_output=True, text=True, check=False)
    thread.join()
    return done.returncode == 0, server, done.stdout


def decide(eap: EapAuthenticator, proof: Proof) -> None:
    reply = proof.verify(PASSWORD, None)
    if reply is None or proof.name.rpartition("\\")[2] != NAME:
        eap.fail(691, "authentication failed", 0.0)
    else:
        eap.succeed(reply, 0.0)


def assert_dissected(server: RadiusServer) -> None:
    """tshark, too, finds nothing wrong with what both sides have said."""
    assert malformed([b"\xff\x03\xc2\x27" + packet for packet in server.carried], PPP) == []


@pytest.mark.parametrize("name", [NAME, f"CORP\\{NAME}"])
def test_mschapv2(tmp_path: Path, name: str) -> None:
    network = f' eap=MSCHAPV2\n identity="{name}"\n password="{PASSWORD}"'.replace("\\", "\\\\")
    good, server, text = run(tmp_path, LinkConfig(), network)
    assert good, text
    assert server.verdicts[-1].accepted
    assert_dissected(server)


def test_mschapv2_with_a_wrong_password(tmp_path: Path) -> None:
    network = f' eap=MSCHAPV2\n identity="{NAME}"\n password="wrong"'
    good, server, text = run(tmp_path, LinkConfig(), network)
    assert not good
    assert not server.verdicts[-1].accepted
    assert "error 691" in text
    assert_dissected(server)


def test_a_method_that_we_do_not_have(tmp_path: Path) -> None:
    network = f' eap=MD5\n identity="{NAME}"\n password="{PASSWORD}"'
    good, server, _ = run(tmp_path, LinkConfig(), network)
    assert not good
    assert "MD5_CHALLENGE" in server.verdicts[-1].message


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize(("mtu", "rsa_bits"), [(MTU, 0), (300, 2048)])
def test_tls(tmp_path: Path, version: str, mtu: int, rsa_bits: int) -> None:
    authority = Authority(tmp_path)
    config = tls_config(authority, rsa_bits)
    certificate, key = authority.issue("", CLIENT, [upn(NAME)], rsa_bits=rsa_bits)
    network = tls_network(authority.file, certificate, key, version)
    good, server, text = run(tmp_path, config, network, mtu)
    assert good, text
    assert server.verdicts[-1].accepted
    assert f"Using TLS version {version}" in text
    assert_dissected(server)


def tls_config(authority: Authority, rsa_bits: int = 0) -> LinkConfig:
    context = tls_context(authority.for_server(rsa_bits=rsa_bits))
    return LinkConfig(eap_methods=(EapMethod.TLS, EapMethod.MS_CHAP_V2), tls=context)


def tls_network(ca: Path, certificate: Path, key: Path, version: str = "TLSv1.3") -> str:
    disabled = "tls_disable_tlsv1_3=" + ("0" if version == "TLSv1.3" else "1")
    return (
        f' eap=TLS\n identity="{NAME}"\n ca_cert="{ca}"\n client_cert="{certificate}"\n'
        f' private_key="{key}"\n phase1="{disabled}"\n fragment_size=200'
    )
