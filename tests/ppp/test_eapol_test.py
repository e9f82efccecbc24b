"""Our EAP against that of wpa_supplicant: its test program as the peer, over a little RADIUS."""

import re
import subprocess
from collections.abc import Callable
from os import sched_yield
from pathlib import Path
from shutil import which
from socket import AF_UNIX, SOCK_DGRAM, socket
from threading import Event, Thread
from time import monotonic

import pytest

from l2gate.configuration.eap import tls_context
from ppp.config import EapMethod, LinkConfig
from ppp.eap import EapAuthenticator
from ppp.eap_server import EapServer
from ppp.packet import Packet
from ppp.proofs import MsChapV2Change, Proof
from tests.support.ppp import NAME, PASSWORD, entropy
from tests.support.prerequisites import need
from tests.support.radius import SECRET, RadiusServer
from tests.support.tls_certificates import CLIENT, DAY, Authority, upn
from tests.support.tshark import PPP, malformed

MTU = 1400
PPP_EAP = b"\xff\x03\xc2\x27"


class Eapol:
    """What became of a login: `good` and `text` as eapol_test says, `server` our end."""

    def __init__(self, directory: Path, config: LinkConfig, network: str, mtu: int = MTU) -> None:
        need("" if which("eapol_test") else "eapol_test is not installed (Debian: eapoltest)")
        self.server = RadiusServer(lambda send: eap(config, mtu, send), decide)
        done = self._run(directory, network)
        self.good, self.text = done.returncode == 0, done.stdout
        odd = malformed([PPP_EAP + packet for packet in self.server.carried], PPP)
        assert odd == [], "tshark finds nothing wrong with what both sides have said"

    def _run(self, directory: Path, network: str) -> subprocess.CompletedProcess[str]:
        thread = Thread(target=self.server.serve)
        thread.start()
        try:
            return subprocess.run(
                command(directory, network, self.server.port),
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            thread.join()


def eap(config: LinkConfig, mtu: int, send: Callable[[Packet], None]) -> EapAuthenticator:
    return EapAuthenticator(EapServer(config, mtu, entropy()), entropy(), send)


def command(directory: Path, network: str, port: int, before: str = "") -> list[str]:
    file = directory / "network.conf"
    file.write_text(f"{before}\nnetwork={{\n key_mgmt=WPA-EAP\n{network}\n}}\n")
    server = ["-p", str(port), "-s", SECRET.decode(), "-t", "15"]
    return ["eapol_test", "-n", "-c", str(file), *server]


def decide(eap: EapAuthenticator, proof: Proof) -> None:
    reply = proof.verify(PASSWORD, None)
    if reply is None or proof.name.rpartition("\\")[2] != NAME:
        eap.fail(691, "authentication failed", 0.0)
    else:
        eap.succeed(reply, 0.0)


@pytest.mark.parametrize("name", [NAME, f"CORP\\{NAME}"])
def test_mschapv2(tmp_path: Path, name: str) -> None:
    network = f' eap=MSCHAPV2\n identity="{name}"\n password="{PASSWORD}"'
    done = Eapol(tmp_path, LinkConfig(), network)
    assert done.good, done.text
    assert done.server.verdicts[-1].accepted


def test_mschapv2_with_a_wrong_password(tmp_path: Path) -> None:
    network = f' eap=MSCHAPV2\n identity="{NAME}"\n password="wrong"'
    done = Eapol(tmp_path, LinkConfig(), network)
    assert not done.good
    assert not done.server.verdicts[-1].accepted
    assert "failure message: 'authentication failed' (retry not allowed, error 691)" in done.text


def test_mschapv2_with_a_change_of_password(tmp_path: Path) -> None:
    """The client hears of it in one login, is told the new password, and changes it in the next."""
    need("" if which("eapol_test") else "eapol_test is not installed (Debian: eapoltest)")
    changed: list[str | None] = []
    is_told = Event()

    def decide(eap: EapAuthenticator, proof: Proof) -> None:
        reply = proof.verify(PASSWORD, None)
        if not isinstance(proof, MsChapV2Change):
            eap.fail(648, "password expired", 0.0)
            return
        changed.append(proof.new_password(PASSWORD, None))
        eap.succeed(reply or b"", 0.0)

    server = RadiusServer(
        lambda send: eap(LinkConfig(), MTU, send),
        decide,
        lambda number: None if number == 0 else assert_set(is_told),
    )
    thread = Thread(target=server.serve, args=(2,))
    thread.start()
    network = f' eap=MSCHAPV2\n identity="{NAME}"\n password="{PASSWORD}"'
    directory = tmp_path / "control"
    directory.mkdir()
    arguments = command(tmp_path, network, server.port, f"ctrl_interface={directory}")
    with subprocess.Popen([*arguments, "-W", "-r1"], stdout=subprocess.DEVNULL) as process:
        try:
            events = converse(directory, is_told)
        finally:
            process.terminate()
            thread.join()
    assert changed == ["brand new"]
    assert any("Password changed successfully" in event for event in events)
    assert any("CTRL-EVENT-EAP-SUCCESS" in event for event in events)
    assert malformed([PPP_EAP + packet for packet in server.carried], PPP) == []


def assert_set(event: Event) -> None:
    assert event.wait(20)


def converse(directory: Path, is_told: Event) -> list[str]:
    """Be the user at eapol_test's control socket; return the events up to the success."""
    events: list[str] = []
    with socket(AF_UNIX, SOCK_DGRAM) as control:
        control.bind(str(directory.parent / "user"))
        control.settimeout(20)
        wait_for(directory / "test")
        control.connect(str(directory / "test"))
        control.send(b"ATTACH")
        while not events or "CTRL-EVENT-EAP-SUCCESS" not in events[-1]:
            events.append(control.recv(4096).decode())
            if found := re.search(r"CTRL-REQ-NEW_PASSWORD-(\d+):", events[-1]):
                control.send(f"CTRL-RSP-NEW_PASSWORD-{found[1]}:brand new".encode())
                while events[-1] != "OK\n":
                    events.append(control.recv(4096).decode())
                is_told.set()
    return events


def wait_for(path: Path) -> None:
    end = monotonic() + 20
    while not path.exists():
        assert monotonic() < end
        sched_yield()


def test_a_method_that_we_do_not_have(tmp_path: Path) -> None:
    network = f' eap=MD5\n identity="{NAME}"\n password="{PASSWORD}"'
    done = Eapol(tmp_path, LinkConfig(), network)
    assert not done.good
    assert "MD5_CHALLENGE" in done.server.verdicts[-1].message


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize(("mtu", "rsa_bits"), [(MTU, 0), (300, 2048)])
def test_tls(tmp_path: Path, version: str, mtu: int, rsa_bits: int) -> None:
    authority = Authority(tmp_path)
    config = tls_config(authority, rsa_bits)
    files = authority.issue("", CLIENT, [upn(NAME)], rsa_bits=rsa_bits)
    done = Eapol(tmp_path, config, tls_network(authority, *files, version), mtu)
    assert done.good, done.text
    assert done.server.verdicts[-1].accepted
    assert f"Using TLS version {version}" in done.text


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_tls_with_a_certificate_that_is_not_valid(tmp_path: Path, version: str) -> None:
    authority = Authority(tmp_path)
    files = authority.issue(NAME, ends=-DAY)
    config = tls_config(authority)
    done = Eapol(tmp_path, config, tls_network(authority, *files, version))
    assert not done.good
    assert done.server.verdicts[-1].message.endswith("certificate has expired")


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_tls_with_a_client_that_does_not_trust_us(tmp_path: Path, version: str) -> None:
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "Another CA")
    files = ours.issue(NAME)
    done = Eapol(tmp_path, tls_config(ours), tls_network(theirs, *files, version))
    assert not done.good
    assert done.server.verdicts[-1].message == "TLS failed: the client ends it: unknown ca"


def tls_config(authority: Authority, rsa_bits: int = 0) -> LinkConfig:
    context = tls_context(authority.for_server(rsa_bits=rsa_bits))
    return LinkConfig(eap_methods=(EapMethod.TLS, EapMethod.MS_CHAP_V2), tls=context)


def tls_network(ca: Authority, certificate: Path, key: Path, version: str) -> str:
    disabled = "tls_disable_tlsv1_3=" + ("0" if version == "TLSv1.3" else "1")
    return (
        f' eap=TLS\n identity="{NAME}"\n ca_cert="{ca.file}"\n client_cert="{certificate}"\n'
        f' private_key="{key}"\n phase1="{disabled}"\n fragment_size=200'
    )
