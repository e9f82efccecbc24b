"""The ways to get it wrong: each leaves a record that says where, why, and what to do.

What is expected of each stands in the first table of docs/troubleshooting.md.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.x509 import Certificate

from aaa import Directory, Hours, Policy, Source, Span, User
from aaa.radius.client import Server
from aaa.radius.constants import MICROSOFT, AttributeType, Code, MicrosoftType
from aaa.radius.packet import Attribute
from ipsec.algorithms import EspAlgorithms
from ipsec.config import IkeConfig, PresharedKey
from ipsec.constants import (
    AuthenticationAlgorithm,
    EncryptionAlgorithm,
    EspTransform,
    GroupDescription,
    HashAlgorithm,
    IdType,
)
from ipsec.credentials import Credentials
from ipsec.endpoint import Datagram, Ike
from ipsec.offers import IkeSuite
from ipsec.path import Path as Route
from ipsec.payloads import Identification
from l2gate.configuration.model import KeySettings, RadiusSettings
from l2gate.history import Attempt, Reached
from ppp.config import Method
from tests.support import certificates
from tests.support.client import PATIENT, ClientHost, ClientState
from tests.support.foreign import ikev2
from tests.support.lab import PASSWORD, PSK, SERVER, Lab, configuration, with_ipsec
from tests.support.radius_lab import SECRET, Answer, RadiusLab, accepting, asking, reply
from tests.support.simulation import ESP_PORT, Nat

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md").read_text()
SECTION = TEXT.split("## The ways to get it wrong")[1].split("\n## ")[0]

HOST = "198.51.100.7"
NAME = "bob@sales.example.com"
AES_256 = (EncryptionAlgorithm.AES_CBC, 256)
GOOD_IKE = (IkeSuite(*AES_256, HashAlgorithm.SHA1, GroupDescription.MODP_2048),)
WEAK_IKE = (IkeSuite(*AES_256, HashAlgorithm.SHA1, GroupDescription.MODP_1024),)
WEAK_ESP = (EspAlgorithms(EspTransform.AES_CBC, 128, AuthenticationAlgorithm.HMAC_MD5),)


BRANCH = KeySettings(b"the key of the branch", group="branch")
STAFF = KeySettings(b"the key of the staff", group="staff")
UNPROVEN = ("our answers do not reach the client", "the key of the group differs")
"""Where the client's address may be a fake, for which no line is written."""


class Expected(NamedTuple):
    """A row of the table."""

    stage: str
    why: str
    mend: str
    windows: str


def rows() -> dict[str, Expected]:
    found = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", SECTION, re.M)
    return {row[0]: Expected(*row[1:]) for row in found[1:] if not row[0].startswith("-")}


def nothing(client: ClientHost) -> None:
    """A client as it should be."""


def with_ike(**settings: object) -> Callable[[ClientHost], None]:
    def prepare(client: ClientHost) -> None:
        config = IkeConfig(preshared_keys=lambda _: (PresharedKey(PSK),), retransmission=PATIENT)
        client.ike = Ike(replace(config, **settings), client._entropy)  # type: ignore[arg-type]

    return prepare


AS_BRANCH = with_ike(aggressive=True, identity=Identification(IdType.KEY_ID, 0, 0, b"branch"))


def with_certificate(certificate: Certificate, **settings: object) -> Callable[[ClientHost], None]:
    good = {"preshared_keys": lambda _: (), "credentials": certificates.client(certificate)}
    return with_ike(**{**good, **settings})


def with_methods(*methods: Method) -> Callable[[ClientHost], None]:
    def prepare(client: ClientHost) -> None:
        client._link_config = replace(client._link_config, methods=methods)

    return prepare


def without_frames(beginning: bytes) -> Callable[[ClientHost], None]:
    """A client that never sends such PPP frames, and is patient about getting no answer."""

    def prepare(client: ClientHost) -> None:
        send = client.lac.send

        def send_others(session: int, frame: bytes, ns: int | None = None) -> None:
            if beginning not in frame:
                send(session, frame, ns)

        client.lac.send = send_others  # type: ignore[method-assign]
        client._link_config = replace(
            client._link_config, authentication_timeout=1000.0, max_configure=1000
        )

    return prepare


def with_ikev2(client: ClientHost) -> None:
    """A client that wants nothing else, and asks twice."""

    class Ikev2(Ike):
        def connect(self, path: Route, now: float) -> int:
            self._context.outbox += [Datagram(ikev2(vendor_id=""), path)] * 2
            return 0

    client.ike = Ikev2(IkeConfig(preshared_keys=lambda _: ()), client._entropy)


def with_keys(**settings: object) -> Callable[[Lab], None]:
    """A server that has other keys than the common one, too."""

    def around(lab: Lab) -> None:
        lab.server.gateway.replace_credentials(with_ipsec(**settings))

    return around


def without_l2tp(client: ClientHost) -> None:
    client._tunnel = 0


def without_a_call(client: ClientHost) -> None:
    client.lac.call = lambda *_: 0  # type: ignore[method-assign]


def with_bob(directory: Directory, **settings: object) -> Directory:
    bob = replace(User(NAME, password=PASSWORD), **settings)  # type: ignore[arg-type]
    return replace(directory, users={**directory.users, NAME: bob})


def only_on_mondays(directory: Directory) -> Directory:
    hours = Hours((Span((0,), 8 * 60, 18 * 60),))
    sales = replace(directory.departments["sales"], policy=Policy(hours=hours))
    departments = {**directory.departments, "sales": sales}
    return with_bob(replace(directory, departments=departments))


def on_a_thursday(lab: Lab) -> None:
    """Or a Wednesday, where the Thursday has not come yet."""
    lab.server.gateway.aaa._wall = lambda: 0.0


def one_session_each(directory: Directory) -> Directory:
    sales = replace(directory.departments["sales"], max_sessions_per_user=1)
    return with_bob(replace(directory, departments={**directory.departments, "sales": sales}))


class Mistake(NamedTuple):
    """How a client differs from one that gets in, and the network and server from good ones."""

    prepare: Callable[[ClientHost], None] = nothing
    name: str = NAME
    password: str = PASSWORD
    psk: bytes = PSK
    nat: bool = False
    around: Callable[[Lab], None] = lambda lab: None
    directory: Callable[[Directory], Directory] = with_bob
    before: str = ""
    dies_at: Reached | None = None
    radius: Answer | None = None


def block_port(port: int) -> Callable[[Lab], None]:
    def block(lab: Lab) -> None:
        lab.simulation.blocks = lambda packet: packet.destination.port == port

    return block


def block_answers(lab: Lab) -> None:
    lab.simulation.blocks = lambda packet: packet.source.host == SERVER


def serve_certificates(
    credentials: Credentials | None = None, alone: bool = False
) -> Callable[[Lab], None]:
    """Let the server have a certificate, and no pre-shared key if it is `alone`."""

    def serve(lab: Lab) -> None:
        psk = None if alone else PSK
        settings = with_ipsec(credentials=credentials or certificates.server(), psk=psk)
        lab.server.gateway.replace_credentials(settings)

    return serve


ISSUE = certificates.authority().issue
DESK = Identification(IdType.FQDN, 0, 0, b"desk.example.com")
NO_CERTIFICATE = replace(certificates.client(), chain=())
ANOTHER_KEY = certificates.credentials(ISSUE(), key=certificates.rsa_key("desk"))


def allow_ms_chap_alone(lab: Lab) -> None:
    calls = lab.server.gateway.calls
    calls._links = replace(calls._links, methods=(Method.MS_CHAP_V2,))


RADIUS = RadiusSettings((Server("192.0.2.10", 1812, SECRET),), (), 9.0, 60.0, "vpn", None)
U1 = "u1@sales.example.com"
TAKEN = Attribute(AttributeType.FRAMED_IP_ADDRESS, bytes([172, 16, 1, 2]))
MS_CHAP_SUCCESS = Attribute.of_vendor(
    MICROSOFT, MicrosoftType.CHAP2_SUCCESS, b"\0S=" + b"0123456789" * 4
)


def ask_for_strangers(directory: Directory) -> Directory:
    return asking(directory, (Source.LOCAL, Source.RADIUS))


MISTAKES = {
    "the pre-shared key differs": Mistake(psk=b"another key"),
    "the pre-shared key is none of two": Mistake(
        psk=b"another key", around=with_keys(psk_next=b"the key of next year")
    ),
    "aggressive mode is off": Mistake(AS_BRANCH),
    "there is no such group": Mistake(AS_BRANCH, around=with_keys(keys=(STAFF,))),
    "the key of the group differs": Mistake(AS_BRANCH, around=with_keys(keys=(BRANCH, STAFF))),
    "the client tries IKEv2": Mistake(with_ikev2),
    "the client wants a certificate, the server has none": Mistake(
        with_certificate(ISSUE(), ike_offers=GOOD_IKE)
    ),
    "the client wants a pre-shared key, the server has none": Mistake(
        with_ike(ike_offers=GOOD_IKE), around=serve_certificates(alone=True)
    ),
    "the client has no certificate": Mistake(
        with_certificate(ISSUE(), credentials=NO_CERTIFICATE, identity=DESK),
        around=serve_certificates(),
    ),
    "the client's certificate has expired": Mistake(
        with_certificate(ISSUE(days=5)), around=serve_certificates()
    ),
    "the client's certificate is revoked": Mistake(
        with_certificate(certificates.client_certificate()),
        around=serve_certificates(certificates.server(certificates.client_certificate())),
    ),
    "the client's certificate is of an unknown authority": Mistake(
        with_certificate(certificates.Authority("Another CA").issue()),
        around=serve_certificates(),
    ),
    "the client's certificate is for something else": Mistake(
        with_certificate(ISSUE(usages=certificates.SERVER_AUTH[:1])), around=serve_certificates()
    ),
    "the client says to be somebody else": Mistake(
        with_certificate(ISSUE(), identity=DESK), around=serve_certificates()
    ),
    "the client has another private key": Mistake(
        with_certificate(ISSUE(), credentials=ANOTHER_KEY), around=serve_certificates()
    ),
    "the revocation list is too old": Mistake(
        with_certificate(ISSUE()),
        around=serve_certificates(
            certificates.server(ISSUE(), today=certificates.TODAY + 10 * certificates.DAY)
        ),
    ),
    "no common algorithms in phase 1": Mistake(with_ike(ike_offers=WEAK_IKE)),
    "no common algorithms in phase 2": Mistake(with_ike(esp_offers=WEAK_ESP)),
    "our answers do not reach the client": Mistake(around=block_answers),
    "UDP port 4500 is blocked": Mistake(nat=True, around=block_port(4500)),
    "ESP is blocked": Mistake(around=block_port(ESP_PORT)),
    "the client never starts L2TP": Mistake(without_l2tp, nat=True),
    "the client opens a tunnel and no session": Mistake(without_a_call),
    "the client refuses every method of authentication": Mistake(
        with_methods(Method.PAP), around=allow_ms_chap_alone
    ),
    "the client never sends its password": Mistake(without_frames(b"\xc2\x23\x02")),
    "the password is wrong": Mistake(password="wrong"),
    "there is no such user": Mistake(name="eve@sales.example.com"),
    "the domain is wrong": Mistake(name="bob@lab.example.com"),
    "the suffix is missing": Mistake(name="bob"),
    "the user is disabled": Mistake(directory=lambda d: with_bob(d, disabled=True)),
    "the user has expired": Mistake(directory=lambda d: with_bob(d, expires=date(2020, 12, 31))),
    "the login is outside of the hours": Mistake(directory=only_on_mondays, around=on_a_thursday),
    "the one-time code is missing": Mistake(directory=lambda d: with_bob(d, totp=bytes(20))),
    "the user has too many sessions": Mistake(directory=one_session_each, before=NAME),
    "the pool is full": Mistake(name="u1@tiny.example.com", before="u2@tiny.example.com"),
    "the client wants CHAP-MD5, the user has an nt_hash": Mistake(
        with_methods(Method.CHAP_MD5),
        directory=lambda d: with_bob(d, password=None, nt_hash=bytes(16)),
    ),
    "no RADIUS server answers": Mistake(radius=lambda _: None, directory=asking),
    "the RADIUS server has another secret": Mistake(
        radius=accepting(secret=b"another"), directory=asking
    ),
    "the RADIUS server refuses": Mistake(
        radius=lambda request: reply(request, Code.ACCESS_REJECT), directory=asking
    ),
    "the RADIUS server gives an address that is taken": Mistake(
        radius=accepting(TAKEN, MS_CHAP_SUCCESS), directory=ask_for_strangers, before=U1
    ),
    "the client stalls in IPCP": Mistake(without_frames(b"\x80\x21\x01")),
    "the client vanishes before PPP": Mistake(dies_at=Reached.TUNNEL),
    "the client vanishes in the login": Mistake(dies_at=Reached.LCP),
    "the client vanishes from an open session": Mistake(dies_at=Reached.UP),
}


def attempts(lab: Lab) -> list[Attempt]:
    return [attempt for attempt in lab.server.gateway.attempts if attempt.host.endswith(".7")]


def make(mistake: Mistake) -> tuple[Lab, Attempt]:
    """Let a client make a mistake, until the server has given it up."""
    lab = Lab() if mistake.radius is None else RadiusLab(RADIUS, answer=mistake.radius)
    lab.server.gateway.replace_directory(mistake.directory(configuration().directory), 1000.0)
    if mistake.before:
        first = lab.client(mistake.before, "198.51.100.8", host_name="another")
        assert lab.run(10, lambda: first.state is ClientState.UP), first.why
    mistake.around(lab)
    nat = Nat(HOST) if mistake.nat else None
    host = "192.168.77.11" if nat else HOST
    client = lab.client(
        mistake.name, host, nat, mistake.psk, mistake.password, prepare=mistake.prepare
    )
    if mistake.dies_at is not None:
        assert lab.run(10, lambda: any(a.stage == mistake.dies_at for a in attempts(lab)))
        lab.simulation.remove(client)
    assert lab.run(400, lambda: bool(attempts(lab)))
    lab.run(400)
    (attempt,) = attempts(lab)
    return lab, attempt


@pytest.mark.parametrize("what", MISTAKES)
def test_the_record_says_what_is_wrong(what: str) -> None:
    lab, attempt = make(MISTAKES[what])
    windows = "none" if attempt.windows is None else str(attempt.windows)
    found = Expected(attempt.stage, attempt.why, attempt.mend, windows)
    assert found == rows().get(what), f"| {what} | {' | '.join(found)} |"
    assert attempt.ended is not None
    assert attempt.client == "unknown software"
    if what not in UNPROVEN:
        (line, *_) = lab.server.noted(attempt.why)
        assert line.trouble
        assert line.attempt == attempt.id
        assert str(line).endswith(f"(Windows error {windows})") is (windows != "none")


def test_the_table_has_no_other_rows() -> None:
    assert list(rows()) == list(MISTAKES)
