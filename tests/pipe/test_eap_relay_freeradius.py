"""EAP that passes through to a real FreeRADIUS: by clients of ours, and by wpa_supplicant."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from shutil import which
from socket import AF_INET, SOCK_DGRAM, socket
from threading import Thread

import pytest

from aaa import ClientFacts, RadiusAsked, Source
from aaa.radius.access import Port
from aaa.radius.eap import Challenge
from aaa.remote import Denied, Granted
from l2gate.radius import Radius
from ppp.config import EapMethod, LinkConfig, Method
from ppp.eap import EapAuthenticator
from ppp.eap_relay import EapRelay
from ppp.eap_server import EapServer
from ppp.packet import Packet
from ppp.proofs import EapResponse, Proof
from tests.support.client import ClientHost, ClientState
from tests.support.eap_tls import EapTlsPeer
from tests.support.freeradius import FreeRadius, running_freeradius
from tests.support.lab import PASSWORD, assert_passes_traffic
from tests.support.ppp import entropy
from tests.support.prerequisites import need
from tests.support.radius import SECRET, RadiusServer
from tests.support.radius_lab import RadiusLab, settings_for
from tests.support.tls_certificates import DAY, Authority
from tests.support.tshark import PPP, malformed
from wire import Reader

NAME = "bob@sales.example.com"
USERS = f"""
"{NAME}" Cleartext-Password := "clientPass"
    Framed-IP-Address = 172.16.1.77,
    Session-Timeout = 3600,
    Class = 0x00ff10

"CORP\\\\{NAME}" Cleartext-Password := "clientPass"
    Framed-IP-Address = 172.16.1.77
"""
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "radius.md"
MTU = 1400
PPP_EAP = b"\xff\x03\xc2\x27"
PORT = Port(7, "1-1", "198.51.100.7", "203.0.113.1")
BOTH = (Source.LOCAL, Source.RADIUS)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def radius(authority: Authority) -> Iterator[FreeRadius]:
    with running_freeradius(USERS, authority.for_server(rsa_bits=4096)) as server:
        yield server


@pytest.fixture
def lab(radius: FreeRadius) -> Iterator[RadiusLab]:
    with closing(a_lab(radius)) as lab:
        yield lab


def a_lab(radius: FreeRadius, order: tuple[Source, ...] = (Source.RADIUS,)) -> RadiusLab:
    lab = RadiusLab(settings_for(radius), order)
    calls = lab.server.gateway.calls
    calls._links = replace(calls._links, methods=(Method.EAP,), relay_eap=True)
    return lab


def with_eap(client: ClientHost) -> None:
    client._link_config = replace(client._link_config, methods=(Method.EAP,))


def log_in(lab: RadiusLab, name: str, password: str) -> ClientHost:
    return lab.log_in(name, password, prepare=with_eap)


@pytest.mark.parametrize("name", [NAME, f"CORP\\{NAME}"])
def test_a_login_by_eap_mschapv2(lab: RadiusLab, radius: FreeRadius, name: str) -> None:
    client = log_in(lab, name, "clientPass")
    assert client.state is ClientState.UP, client.why + radius.log()
    assert str(client.address) == "172.16.1.77"
    assert_passes_traffic(lab, client)
    assert lab.server.noted("logged in by EAP")
    assert len(lab.sent) > 3
    assert radius.accounting()[-1]["User-Name"] == NAME


def test_a_wrong_password(lab: RadiusLab) -> None:
    client = log_in(lab, NAME, "wrong")
    assert client.state is ClientState.FAILED
    (line, *_) = lab.server.noted("the RADIUS server refused")
    assert line.windows == 691
    assert lab.server.gateway.aaa.lockout._logins


def test_a_user_who_is_here_is_served_here(radius: FreeRadius) -> None:
    with closing(a_lab(radius, BOTH)) as lab:
        client = log_in(lab, "u1@sales.example.com", PASSWORD)
        assert client.state is ClientState.UP, client.why
        assert lab.server.noted("logged in by EAP-MSCHAPv2")
        other = lab.log_in(
            NAME, "clientPass", prepare=with_eap, host="198.51.100.8", host_name="other"
        )
        assert other.state is ClientState.UP, other.why
        assert str(other.address) == "172.16.1.77"


def test_a_login_by_eap_tls(
    lab: RadiusLab, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer first refuses the method that the server proposes; TLS comes in fragments."""
    files = authority.issue(NAME, rsa_bits=4096)
    monkeypatch.setattr("ppp.link.EapPeer", Choosy.maker(authority, files))
    client = log_in(lab, NAME, "")
    assert client.state is ClientState.UP, client.why
    assert_passes_traffic(lab, client)


class Choosy(EapTlsPeer):
    """Answers another method than EAP-TLS by a Nak."""

    def receive(self, packet: Packet, now: float) -> object:  # type: ignore[override]
        if packet.data[:1] == b"\x1a":
            self._send(Packet(2, packet.identifier, b"\x03\x0d"))
            return None
        return super().receive(packet, now)


# wpa_supplicant: its eapol_test speaks RADIUS to a little server of the tests, behind which is
# our relay, behind which is FreeRADIUS.


class Relay:
    """Our end between the two."""

    def __init__(self, radius: FreeRadius) -> None:
        self.radius = Radius(
            settings_for(radius), Random(1).randbytes, lambda: 0.0, lambda *_: None
        )
        self.asked = 0
        self.longest = 0
        self.denied: list[Denied] = []

    def authenticator(self, send: object) -> EapAuthenticator:
        backend = EapServer(LinkConfig(eap_methods=(EapMethod.MS_CHAP_V2,)), MTU, entropy())
        return EapRelay(backend, MTU, entropy(), send)  # type: ignore[arg-type]

    def decide(self, eap: EapAuthenticator, proof: Proof) -> None:
        assert isinstance(eap, EapRelay)
        assert isinstance(proof, EapResponse)
        self.asked += 1
        asked = RadiusAsked(7, self.asked, proof.name, proof, ClientFacts("198.51.100.7"))
        self.radius.ask(asked, PORT, 0.0)
        with socket(AF_INET, SOCK_DGRAM) as wire:
            wire.settimeout(20.0)
            for request in self.radius.datagrams_to_send():
                if request.server.port in [server.port for server in self.radius._servers]:
                    wire.sendto(request.data, (request.server.host, request.server.port))
                    self.radius.receive(wire.recv(4096), request.server, request.channel, 0.0)
        answer = self.radius.next_answer()
        assert answer is not None
        match answer[2]:
            case Challenge() as challenge:
                self.longest = max(self.longest, len(challenge.packet))
                eap.ask(Packet.parse(Reader(challenge.packet)), None, challenge.is_ignored, 0.0)
            case Granted() as granted:
                assert granted.reply
                eap.succeed(granted.reply, 0.0)
            case other:
                assert isinstance(other, Denied)
                assert not other.is_tacit
                self.denied.append(other)
                eap.fail(691, "", 0.0)


class Login:
    """What eapol_test makes of it: `good` and `text`."""

    def __init__(self, directory: Path, radius: FreeRadius, network: str, name: str = NAME) -> None:
        need("" if which("eapol_test") else "eapol_test is not installed (Debian: eapoltest)")
        self.relay = Relay(radius)
        server = RadiusServer(self.relay.authenticator, self.relay.decide)
        file = directory / "network.conf"
        file.write_text(f'network={{\n key_mgmt=WPA-EAP\n identity="{name}"\n{network}\n}}\n')
        thread = Thread(target=server.serve)
        thread.start()
        where = ["-p", str(server.port), "-s", SECRET.decode(), "-t", "15"]
        done = subprocess.run(
            ["eapol_test", "-n", "-c", str(file), *where],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        thread.join()
        self.good, self.text = done.returncode == 0, done.stdout
        odd = malformed([PPP_EAP + packet for packet in server.carried], PPP)
        assert [line for line in odd if "EAP-MD5" not in line] == [], "tshark warns of that method"


PASSWORDS = {
    "MD5": " eap=MD5",
    "MSCHAPv2": " eap=MSCHAPV2",
    "PEAP": ' eap=PEAP\n phase2="auth=MSCHAPV2"\n ca_cert="{ca}"',
    "TTLS with PAP": ' eap=TTLS\n phase2="auth=PAP"\n ca_cert="{ca}"',
    "TTLS with EAP-MSCHAPv2": ' eap=TTLS\n phase2="autheap=MSCHAPV2"\n ca_cert="{ca}"',
}


@pytest.mark.parametrize("method", PASSWORDS)
@pytest.mark.parametrize("password", ["clientPass", "wrong"])
def test_every_method(
    tmp_path: Path, radius: FreeRadius, authority: Authority, method: str, password: str
) -> None:
    network = PASSWORDS[method].format(ca=authority.file) + f'\n password="{password}"'
    login = Login(tmp_path, radius, network)
    assert login.good == (password == "clientPass"), login.text
    assert bool(login.relay.denied) == (password == "wrong")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("ends", [DAY, -DAY])
def test_eap_tls(
    tmp_path: Path, radius: FreeRadius, authority: Authority, version: str, ends: object
) -> None:
    """Of both sides in fragments; FreeRADIUS keeps to our Framed-MTU."""
    certificate, key = authority.issue(NAME, rsa_bits=4096, ends=ends)  # type: ignore[arg-type]
    disabled = f"tls_disable_tlsv1_3={int(version == '1.2')}"
    login = Login(
        tmp_path,
        radius,
        f' eap=TLS\n ca_cert="{authority.file}"\n client_cert="{certificate}"\n'
        f' private_key="{key}"\n phase1="{disabled}"\n fragment_size=400',
    )
    assert login.good == (ends == DAY), login.text
    assert f"Using TLS version TLSv{version}" in login.text
    assert 1000 < login.relay.longest <= MTU
    assert login.relay.asked > 8


@pytest.mark.parametrize("method", ["PEAP", "TTLS with PAP", "TTLS with EAP-MSCHAPv2"])
def test_a_user_inside_who_is_another_outside(
    tmp_path: Path, radius: FreeRadius, authority: Authority, method: str
) -> None:
    """What docs/radius.md has FreeRADIUS compare."""
    network = PASSWORDS[method].format(ca=authority.file) + '\n password="clientPass"'
    other = f'{network}\n anonymous_identity="bob@hr.example.com"'
    assert not Login(tmp_path, radius, other).good
    assert Login(tmp_path, radius, f'{network}\n anonymous_identity="{NAME}"').good


def test_a_certificate_for_another_name(
    tmp_path: Path, radius: FreeRadius, authority: Authority
) -> None:
    certificate, key = authority.issue("eve@sales.example.com")
    network = (
        f' eap=TLS\n ca_cert="{authority.file}"\n client_cert="{certificate}"\n private_key="{key}"'
    )
    assert not Login(tmp_path, radius, network).good
    assert Login(tmp_path, radius, network, "eve@sales.example.com").good


def test_the_documentation_says_what_these_servers_compare() -> None:
    text = DOCUMENT.read_text()
    assert 'check_cert_cn = "%{User-Name}"' in text
    assert "if (!(&User-Name == &outer.request:User-Name)) {" in text
