"""Main Mode with certificates: what is sent, what is proven, and all that is refused."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path as File
from random import Random
from shutil import which

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7
from cryptography.x509 import Certificate

from ipsec.config import IkeConfig
from ipsec.constants import (
    AuthenticationMethod,
    HashAlgorithm,
    IdType,
    NotifyType,
    PayloadType,
)
from ipsec.credentials import Credentials
from ipsec.endpoint import Ike
from ipsec.events import NegotiationFailed, PeerAuthenticated
from ipsec.fragmentation import split
from ipsec.main_mode import MAX_FAILURES, State
from ipsec.message import Payload, Payloads, parse_message
from ipsec.payloads import Identification
from ipsec.policy import LEGACY
from tests.support import certificates, fragments
from tests.support.caller import Caller, clear, notified
from tests.support.certificates import (
    DAY,
    ENCRYPTS,
    SERVER_AUTH,
    TODAY,
    Authority,
    authority,
    client_certificate,
    rsa_key,
    server_certificate,
    subject_of,
)
from tests.support.ike import PSK, SERVER, Pair, config
from tests.support.prerequisites import need
from tests.support.simulation import Link, Nat

Change = Callable[[list[Payload]], list[Payload]]
"""Makes another message 5 of the payloads of a good one."""

WHOLE = 1 << 16
"""A limit for fragments that no message reaches."""

MIDDLE = Authority("Middle CA", authority())


def no_keys(host: str) -> Sequence[bytes]:
    return ()


def by_certificate(credentials: Credentials, **settings: object) -> IkeConfig:
    return config(**{"preshared_keys": no_keys, "credentials": credentials, **settings})


def server(**settings: object) -> Ike:
    """Return a server that has a certificate, and sends each message in one piece."""
    settings = {"credentials": certificates.server(), "fragment_limit": WHOLE, **settings}
    return Ike(by_certificate(**settings), Random(99).randbytes)  # type: ignore[arg-type]


def caller(credentials: Credentials | None = None, ike: Ike | None = None) -> Caller:
    settings = by_certificate(credentials or certificates.client())
    return Caller(ike or server(), settings)


def test_both_prove_who_they_are() -> None:
    client = caller()
    client.establish()
    assert client.mode.identity == subject_of(server_certificate())
    (event,) = client.events()
    assert isinstance(event, PeerAuthenticated)
    assert event.identity == subject_of(client_certificate())
    assert str(event.identity) == "CN=laptop,O=Example"
    assert event.identity.type == IdType.DER_ASN1_DN
    assert event.negotiation is not None
    assert event.negotiation.chosen is not None
    assert event.negotiation.chosen.method == AuthenticationMethod.RSA_SIGNATURES


def test_message_4_asks_for_a_certificate_of_each_authority() -> None:
    others = [authority().certificate, Authority("Another CA").certificate]
    trust = replace(certificates.server().trust, authorities=tuple(others))
    client = caller(ike=server(credentials=certificates.credentials(trust=trust)))
    (answer,) = client.send(client.up_to(3))
    payloads = clear(answer)
    assert [item.type for item in payloads.items] == [
        PayloadType.KE,
        PayloadType.NONCE,
        PayloadType.CERTREQ,
        PayloadType.CERTREQ,
        PayloadType.NAT_D,
        PayloadType.NAT_D,
    ]
    names = [other.subject.public_bytes() for other in others]
    assert payloads.all(PayloadType.CERTREQ) == [b"\4" + name for name in names]


def test_nobody_is_asked_who_has_a_pre_shared_key() -> None:
    client = Caller(server(preshared_keys=lambda host: (PSK,)))
    (answer,) = client.send(client.up_to(3))
    assert not clear(answer).all(PayloadType.CERTREQ)


def test_message_6_has_all_certificates_up_to_the_authority() -> None:
    leaf = MIDDLE.issue("vpn.example.com", usages=SERVER_AUTH)
    client = caller(ike=server(credentials=certificates.credentials(leaf, MIDDLE.certificate)))
    (answer,) = client.send(client.up_to(5))
    payloads = opened(client, answer)
    kinds = [item.type for item in payloads.items]
    assert kinds == [PayloadType.ID, PayloadType.CERT, PayloadType.CERT, PayloadType.SIG]
    chain = [each.public_bytes(Encoding.DER) for each in (leaf, MIDDLE.certificate)]
    assert payloads.all(PayloadType.CERT) == [b"\4" + der for der in chain]
    client.take(answer)
    assert client.mode.identity == subject_of(leaf)


@pytest.mark.parametrize("algorithm", [h for h in HashAlgorithm if h != HashAlgorithm.TIGER])
def test_openssl_verifies_our_signature(algorithm: HashAlgorithm, tmp_path: File) -> None:
    """RFC 2409 section 5.1: what is signed is HASH_R itself, without the name of a hash."""
    need("" if which("openssl") else "openssl is not installed")
    suite = replace(LEGACY.ike[0], hash=algorithm)
    client = Caller(
        server(policy=LEGACY), by_certificate(certificates.client(), ike_offers=(suite,))
    )
    (answer,) = client.send(client.up_to(5))
    payloads = opened(client, answer)
    id_b = payloads.the(PayloadType.ID)
    public = server_certificate().public_key()
    files = {
        "key": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "sig": payloads.the(PayloadType.SIG),
        "hash": client.mode.keys.proof(False, client.mode._sai_b, id_b),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    command = "openssl pkeyutl -verify -pubin -inkey key -sigfile sig -in hash"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True, timeout=10)


def test_the_identity_that_we_send_can_be_set() -> None:
    ours = Identification(IdType.FQDN, 0, 0, b"vpn.example.com")
    client = caller(ike=server(identity=ours))
    client.establish()
    assert client.mode.identity == ours


# Both kinds of authentication.


def both(**settings: object) -> IkeConfig:
    return config(credentials=certificates.server(), fragment_limit=WHOLE, **settings)


def test_a_server_may_have_both() -> None:
    ike = Ike(both(), Random(99).randbytes)
    by_key = Caller(ike, seed=1)
    by_key.establish()
    assert by_key.mode.identity == Identification.of_address(SERVER)
    second = Caller(ike, by_certificate(certificates.client()), seed=2, port=501)
    second.establish()
    assert second.mode.identity == subject_of(server_certificate())


def test_who_offers_both_is_asked_for_the_certificate() -> None:
    client = Caller(Ike(both(), Random(99).randbytes), config(credentials=certificates.client()))
    client.establish()
    assert client.mode.offer is not None
    assert client.mode.offer.method == AuthenticationMethod.RSA_SIGNATURES


@pytest.mark.parametrize(
    ("theirs", "ours", "hint"),
    [
        (by_certificate(certificates.client()), config(), "choose a pre-shared key on the client"),
        (config(), by_certificate(certificates.server()), "choose a certificate on the client"),
    ],
)
def test_no_common_method(theirs: IkeConfig, ours: IkeConfig, hint: str) -> None:
    client = Caller(Ike(ours, Random(99).randbytes), theirs)
    (answer,) = client.send(client.first())
    assert notified(answer) == NotifyType.NO_PROPOSAL_CHOSEN
    (event,) = client.events()
    assert isinstance(event, NegotiationFailed)
    assert event.hint.startswith(hint)


# What clients say they are.


NAMES = ("laptop.example.com", "bob@example.com", "198.51.100.7", "2001:db8::7")


@pytest.mark.parametrize(
    ("identity", "bound"),
    [
        (Identification(IdType.FQDN, 0, 0, b"laptop.example.com"), True),
        (Identification(IdType.FQDN, 0, 0, b"Laptop.Example.COM"), True),
        (Identification(IdType.FQDN, 0, 0, b"other.example.com"), False),
        (Identification(IdType.FQDN, 0, 0, b"bob@example.com"), False),
        (Identification(IdType.FQDN, 0, 0, b"\xff\xfe"), False),
        (Identification(IdType.FQDN, 0, 0, b""), False),
        (Identification(IdType.USER_FQDN, 0, 0, b"bob@example.com"), True),
        (Identification(IdType.USER_FQDN, 0, 0, b"eve@example.com"), False),
        (Identification.of_address("198.51.100.7", 17, 500), True),
        (Identification.of_address("2001:db8::7"), True),
        (Identification.of_address("192.168.1.7"), False),
        (Identification(IdType.KEY_ID, 0, 0, b"laptop"), False),
        (Identification(IdType.DER_ASN1_GN, 0, 0, b"laptop"), False),
        (Identification(IdType.DER_ASN1_DN, 0, 0, b""), False),
        (subject_of(server_certificate()), False),
        (subject_of(client_certificate()), True),
    ],
    ids=str,
)
def test_the_identity_is_bound_to_the_certificate(identity: Identification, bound: bool) -> None:
    mine = certificates.client(authority().issue(names=NAMES))
    client = Caller(server(), by_certificate(mine, identity=identity))
    if bound:
        client.establish()
        return
    (answer,) = client.send(client.up_to(5))
    assert notified(answer) == NotifyType.INVALID_ID_INFORMATION
    (event,) = client.events()
    assert isinstance(event, NegotiationFailed)
    assert "is not in the certificate of CN=laptop,O=Example" in event.why


def test_a_certificate_without_names_has_none_to_be_bound_to() -> None:
    mine = certificates.client(authority().issue())
    name = Identification(IdType.FQDN, 0, 0, b"laptop")
    client = Caller(server(), by_certificate(mine, identity=name))
    (answer,) = client.send(client.up_to(5))
    assert notified(answer) == NotifyType.INVALID_ID_INFORMATION


# Message 5 in all its forms.


def test_certificates_may_come_in_one_envelope_and_in_any_order() -> None:
    leaf = MIDDLE.issue()
    client = caller(certificates.client(leaf, MIDDLE.certificate))
    wrapped = pkcs7.serialize_certificates([MIDDLE.certificate, leaf], Encoding.DER)

    def rewrap(payloads: list[Payload]) -> list[Payload]:
        identity, _, _, signature = payloads
        request = Payload(PayloadType.CERTREQ, b"\4")
        return [identity, Payload(PayloadType.CERT, b"\1" + wrapped), signature, request]

    client.take(message_5(client, rewrap)[0])
    assert client.mode.identity == subject_of(server_certificate())


def test_unknown_payloads_and_revocation_lists_do_no_harm() -> None:
    client = caller()
    crl = authority().revoke(client_certificate()).public_bytes(Encoding.DER)
    more = [Payload(PayloadType.CERT, b"\7" + crl), Payload(PayloadType(99), b"what")]
    client.take(message_5(client, lambda payloads: payloads + more)[0])


REFUSALS = {
    "expired": (authority().issue(days=5), NotifyType.INVALID_CERTIFICATE),
    "not valid yet": (authority().issue(start=TODAY + DAY), NotifyType.INVALID_CERTIFICATE),
    "for servers": (authority().issue(usages=SERVER_AUTH[:1]), NotifyType.INVALID_CERTIFICATE),
    "for encryption": (authority().issue(usage=ENCRYPTS), NotifyType.INVALID_CERTIFICATE),
    "an unknown authority": (Authority("Another CA").issue(), NotifyType.INVALID_CERT_AUTHORITY),
    "the one between is missing": (MIDDLE.issue(), NotifyType.INVALID_CERT_AUTHORITY),
    "a short key": (
        authority().issue(key=rsa_key("short", 1024)),
        NotifyType.INVALID_CERTIFICATE,
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_certificates_that_are_refused(what: str) -> None:
    certificate, code = REFUSALS[what]
    key = rsa_key("short", 1024) if what == "a short key" else rsa_key("laptop")
    client = caller(certificates.credentials(certificate, key=key))
    (answer,) = client.send(client.up_to(5))
    assert notified(answer) == code
    assert len(answer) == 40, "the notification says the code and no more"
    (event,) = client.events()
    assert isinstance(event, NegotiationFailed)
    assert event.hint


def test_revoked() -> None:
    client = caller(ike=server(credentials=certificates.server(client_certificate())))
    (answer,) = client.send(client.up_to(5))
    assert notified(answer) == NotifyType.INVALID_CERTIFICATE


def test_a_client_checks_the_server_too() -> None:
    for poor in (
        authority().issue("vpn.example.com"),
        Authority("Another CA").issue("vpn.example.com", usages=SERVER_AUTH),
        authority().issue("vpn.example.com", usages=SERVER_AUTH, days=1),
    ):
        pair = Pair(
            by_certificate(certificates.client()),
            by_certificate(certificates.credentials(poor)),
        )
        pair.connect()
        assert not pair.simulation.run(60.0, pair.established)
        (failure,) = pair.client.told(NegotiationFailed)
        assert "certificate of CN=vpn.example.com" in failure.why


def with_body(kind: PayloadType, body: bytes) -> Change:
    return lambda payloads: [
        Payload(kind, body) if payload.type == kind else payload for payload in payloads
    ]


def without(kind: PayloadType) -> Change:
    return lambda payloads: [payload for payload in payloads if payload.type != kind]


def with_digest_info(payloads: list[Payload]) -> list[Payload]:
    """A signature of today's kind, over HASH_I and with the name of a hash."""
    signature = rsa_key("laptop").sign(b"whatever", PKCS1v15(), SHA1())
    return with_body(PayloadType.SIG, signature)(payloads)


def with_hash(payloads: list[Payload]) -> list[Payload]:
    return [*without(PayloadType.SIG)(payloads), Payload(PayloadType.HASH, bytes(32))]


def of_somebody_else(payloads: list[Payload]) -> list[Payload]:
    other = server_certificate().public_bytes(Encoding.DER)
    identity = Payload(PayloadType.ID, subject_of(server_certificate()).build())
    return [identity, *with_body(PayloadType.CERT, b"\4" + other)(payloads)[1:]]


DER = client_certificate().public_bytes(Encoding.DER)
MISBEHAVIOUR = {
    "another signature": (
        with_body(PayloadType.SIG, rsa_key("laptop").sign(b"x", PKCS1v15(), SHA1())),
        NotifyType.INVALID_SIGNATURE,
    ),
    "a signature with the name of a hash": (with_digest_info, NotifyType.INVALID_SIGNATURE),
    "a signature of another length": (
        with_body(PayloadType.SIG, bytes(128)),
        NotifyType.INVALID_SIGNATURE,
    ),
    "no number at all": (with_body(PayloadType.SIG, b""), NotifyType.INVALID_SIGNATURE),
    "a signature of zero": (with_body(PayloadType.SIG, bytes(256)), NotifyType.INVALID_SIGNATURE),
    "a signature of one": (
        with_body(PayloadType.SIG, bytes(255) + b"\1"),
        NotifyType.INVALID_SIGNATURE,
    ),
    "the certificate of somebody else": (of_somebody_else, NotifyType.INVALID_SIGNATURE),
    "a certificate without a signature": (
        without(PayloadType.SIG),
        NotifyType.AUTHENTICATION_FAILED,
    ),
    "a signature without a certificate": (
        without(PayloadType.CERT),
        NotifyType.AUTHENTICATION_FAILED,
    ),
    "a hash in place of the signature": (with_hash, NotifyType.AUTHENTICATION_FAILED),
    "a revocation list in place of the certificate": (
        with_body(PayloadType.CERT, b"\7whatever"),
        NotifyType.AUTHENTICATION_FAILED,
    ),
    "two signatures": (lambda p: [*p, p[-1]], NotifyType.INVALID_CERT_ENCODING),
    "garbage": (
        with_body(PayloadType.CERT, b"\4" + Random(1).randbytes(900)),
        NotifyType.INVALID_CERT_ENCODING,
    ),
    "an empty payload": (with_body(PayloadType.CERT, b""), NotifyType.INVALID_CERT_ENCODING),
    "a cut certificate": (
        with_body(PayloadType.CERT, b"\4" + DER[:300]),
        NotifyType.INVALID_CERT_ENCODING,
    ),
    "an envelope of garbage": (
        with_body(PayloadType.CERT, b"\1" + Random(1).randbytes(900)),
        NotifyType.INVALID_CERT_ENCODING,
    ),
    "another kind of certificate": (
        with_body(PayloadType.CERT, b"\2" + DER),
        NotifyType.CERT_TYPE_UNSUPPORTED,
    ),
    "nine certificates": (
        lambda p: [p[0], *[p[1]] * 9, *p[2:]],
        NotifyType.INVALID_CERTIFICATE,
    ),
    "no identity": (without(PayloadType.ID), NotifyType.PAYLOAD_MALFORMED),
}


@pytest.mark.parametrize("what", MISBEHAVIOUR)
def test_misbehaviour(what: str) -> None:
    change, code = MISBEHAVIOUR[what]
    client = caller()
    before = client.mode.path
    (answer,) = message_5(client, change)  # type: ignore[arg-type]
    assert notified(answer) == code
    assert client.mode.path == before
    (event,) = client.events()
    assert isinstance(event, NegotiationFailed)
    assert not client.ike.snapshot().peers


def test_guessing_ends() -> None:
    client = caller()
    for guess in range(MAX_FAILURES):
        (answer,) = message_5(client, with_body(PayloadType.SIG, bytes([guess] * 256)))
        assert notified(answer) == NotifyType.INVALID_SIGNATURE
    assert not client.ike.snapshot().half_open


def test_nothing_is_printed_of_keys() -> None:
    client = caller()
    client.establish()
    number = rsa_key("laptop").private_numbers().d
    assert "key" not in repr(client.settings.credentials)
    assert str(number)[:20] not in repr(client.settings) + repr(client.settings.credentials)


# From end to end.


LONG = [MIDDLE, *(Authority(f"CA {n}" + "x" * 40, MIDDLE, key="Middle CA") for n in range(3))]


@pytest.mark.parametrize("nat", [None, Nat("203.0.113.9")], ids=["direct", "behind NAT"])
@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_fragments_over_a_network(nat: Nat | None, loss: float) -> None:
    """Both sides' certificates are larger than what is sent in one piece."""
    chain = [MIDDLE.issue(), *(each.certificate for each in LONG)]
    pair = Pair(
        by_certificate(certificates.client(*chain)),
        by_certificate(certificates.server()),
        nat=nat,
        link=Link(loss=loss, jitter=0.05, duplication=loss),
        seed=4,
    )
    sizes = []
    receive = pair.server.receive
    pair.server.receive = lambda packet, now: (  # type: ignore[method-assign]
        sizes.append(len(packet.data)),
        receive(packet, now),
    )[1]
    pair.establish(120.0)
    assert max(sizes) <= 548
    pair.exchange()
    (event, *_) = pair.server.told(PeerAuthenticated)
    assert str(event.identity) == "CN=laptop,O=Example"


def bulky(octets: int) -> list[Certificate]:
    """Return a chain of about so many octets."""
    names = [f"{'x' * 60}.{number:03}.example.com" for number in range(octets // 80)]
    return [MIDDLE.issue(names=names), MIDDLE.certificate]


@pytest.mark.parametrize(
    ("octets", "limit", "pieces"),
    [(14000, 548, range(31, 33)), (14000, WHOLE, range(1, 2)), (50000, WHOLE, range(1, 2))],
)
def test_long_messages(octets: int, limit: int, pieces: range) -> None:
    """As many fragments as there may be, or in one datagram as much as that may hold."""
    client = caller(certificates.client(*bulky(octets)))
    client.settings = replace(client.settings, fragment_limit=limit)
    whole = client.up_to(5)
    assert len(whole) > octets
    parts = split(whole, limit) if len(whole) > limit else [whole]
    assert len(parts) in pieces
    answers = [answer for part in reversed(parts) for answer in client.send(part)]
    client.take(next(iter(fragments.whole(answers))))
    assert client.mode.identity == subject_of(server_certificate())


def test_renewal_uses_the_new_certificates() -> None:
    pair = Pair(by_certificate(certificates.client()), by_certificate(certificates.server()))
    pair.establish()
    revoking = certificates.server(client_certificate())
    pair.server.ike.replace_credentials(by_certificate(revoking))
    pair.exchange()
    assert len(pair.server.ike.snapshot().peers) == 1, "who is in stays in"
    pair.connect(port=501)
    pair.simulation.run(5.0)
    (failure, *_) = pair.server.told(NegotiationFailed)
    assert "is revoked" in failure.why


def opened(client: Caller, answer: bytes) -> Payloads:
    """Return what is in message 6."""
    header, body = parse_message(answer)
    mode = client.mode
    return mode.keys.protection.open(header, body, mode.iv)[0]


def message_5(client: Caller, change: Change) -> list[bytes]:
    """Send message 5 with other payloads, as if it were the first time."""
    mode = client.mode
    if mode.state is State.START:
        client.up_to(5)
    mode.iv = mode.keys.first_iv
    return client.send(mode._encrypted(change(mode._identity_payloads())))
