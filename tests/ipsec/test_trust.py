"""Which certificates are good. OpenSSL judges the same paths, where it has the same rules."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shutil import which

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, ObjectIdentifier

from ipsec.constants import NotifyType
from ipsec.errors import NotifyError
from ipsec.trust import MAX_PATH, OF_CLIENTS, OF_SERVERS, Trust, usable
from tests.support.certificates import (
    CLIENT_AUTH,
    DAY,
    ENCRYPTS,
    SERVER_AUTH,
    SIGNS,
    TODAY,
    Authority,
    authority,
    ec_key,
    pem,
    revocations,
    rsa_key,
)
from tests.support.prerequisites import need

ROOT = authority()
OTHER = Authority("Another CA")
MIDDLE = Authority("Middle CA", ROOT)
LAST = Authority("Last CA", MIDDLE, path_length=0)
UNKNOWN_CRITICAL = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\5\0"), True


@dataclass(frozen=True)
class Way:
    """A certificate, what came with it, and what is to be said of it; nothing if it is good."""

    certificate: Certificate
    others: Sequence[Certificate] = ()
    fault: str = ""
    code: NotifyType = NotifyType.INVALID_CERTIFICATE
    anchors: Sequence[Certificate] = (ROOT.certificate,)
    revoked: Sequence[x509.CertificateRevocationList] = ()
    today: datetime = TODAY
    openssl_agrees: bool = True


def below(*authorities: Authority, **issue: object) -> Way:
    """Return a good certificate of the last of these authorities, with those between."""
    between = [each.certificate for each in reversed(authorities)]
    return Way(authorities[-1].issue(**issue), between)  # type: ignore[arg-type]


def loop() -> Way:
    """Two authorities that have certified each other, and nobody else has."""
    first, second = Authority("First"), Authority("Second")
    crossed = Authority("First", second, key="First"), Authority("Second", first, key="Second")
    between = [each.certificate for each in crossed]
    fault = "no known authority has issued"
    return Way(first.issue(), between, fault, NotifyType.INVALID_CERT_AUTHORITY)


def long_chain(length: int) -> list[Authority]:
    chain = [ROOT]
    for number in range(length):
        chain.append(Authority(f"CA {number}", chain[-1], key=f"CA {number % 2}"))
    return chain[1:]


def constrained() -> Authority:
    only = x509.NameConstraints([x509.DNSName("example.com")], None)
    return Authority("Constrained CA", ROOT, extra=[(only, True)])


def same_name() -> Authority:
    return Authority("Example CA", key="Another CA")


NOT_CA = Authority("Middle CA", ROOT, ca=False)
NO_CONSTRAINTS = Authority("Middle CA", ROOT, ca=None)
NOT_FOR_CERTIFICATES = Authority("Middle CA", ROOT, usage=SIGNS)
EXPIRED = Authority("Expired CA", ROOT, days=50)
GOOD = ROOT.issue()
CASES = {
    "issued by the authority": Way(GOOD),
    "one between": below(MIDDLE),
    "two between": below(MIDDLE, LAST),
    "two between in another order, and others": Way(
        LAST.issue(), [OTHER.certificate, MIDDLE.certificate, GOOD, LAST.certificate]
    ),
    "three between": below(*long_chain(3)),
    "four between": Way(
        long_chain(4)[-1].issue(),
        [each.certificate for each in long_chain(4)],
        "no known authority has issued",
        NotifyType.INVALID_CERT_AUTHORITY,
        openssl_agrees=False,
    ),
    "an authority that is not at the top": Way(
        LAST.issue(), [LAST.certificate], anchors=[MIDDLE.certificate], openssl_agrees=False
    ),
    "one of several authorities": Way(OTHER.issue(), anchors=[ROOT.certificate, OTHER.certificate]),
    "the one between is missing": Way(
        MIDDLE.issue(), (), "its issuer is CN=Middle CA", NotifyType.INVALID_CERT_AUTHORITY
    ),
    "an unknown authority": Way(
        OTHER.issue(),
        [OTHER.certificate],
        "no known authority has issued the certificate of CN=laptop,O=Example",
        NotifyType.INVALID_CERT_AUTHORITY,
    ),
    "the name of an authority and another key": Way(
        same_name().issue(),
        [same_name().certificate],
        "no known authority has issued",
        NotifyType.INVALID_CERT_AUTHORITY,
    ),
    "authorities that certify each other": loop(),
    "an issuer that is no authority": Way(
        NOT_CA.issue(), [NOT_CA.certificate], "basicConstraints.cA must be asserted"
    ),
    "an issuer without basic constraints": Way(
        NO_CONSTRAINTS.issue(), [NO_CONSTRAINTS.certificate], "basicConstraints"
    ),
    "a client as issuer": Way(
        Authority("laptop", key="laptop").issue("friend"), [GOOD], "basicConstraints"
    ),
    "an issuer that may not sign certificates": Way(
        NOT_FOR_CERTIFICATES.issue(),
        [NOT_FOR_CERTIFICATES.certificate],
        "does not allow it to sign certificates",
    ),
    "more authorities than one of them allows": Way(
        Authority("Beneath", LAST).issue(),
        [
            Authority("Beneath", LAST).certificate,
            LAST.certificate,
            MIDDLE.certificate,
        ],
        "path length constraint violated",
    ),
    "a name that an authority may not give": Way(
        constrained().issue(names=["laptop.example.org"]),
        [constrained().certificate],
        "no permitted name constraints matched",
    ),
    "a name that it may give": Way(
        constrained().issue(names=["laptop.example.com"]), [constrained().certificate]
    ),
    "a critical extension that nobody knows": Way(
        ROOT.issue(extra=[UNKNOWN_CRITICAL]), (), "unaccounted-for critical extensions"
    ),
    "expired": Way(
        ROOT.issue(days=5), (), "the certificate of CN=laptop,O=Example expired on 2026-02-24"
    ),
    "not valid yet": Way(ROOT.issue(start=TODAY + DAY), (), "is not valid before 2026-03-02"),
    "an issuer that has expired": Way(
        EXPIRED.issue(), [EXPIRED.certificate], "CN=Expired CA,O=Example expired on 2026-01-10"
    ),
    "an authority that has expired": Way(GOOD, (), "expired", today=TODAY + 5000 * DAY),
    "revoked": Way(
        GOOD,
        (),
        "the certificate of CN=laptop,O=Example is revoked",
        revoked=[ROOT.revoke(GOOD)],
    ),
    "another is revoked": Way(GOOD, revoked=[ROOT.revoke(OTHER.certificate)]),
    "the one between is revoked": Way(
        MIDDLE.issue(),
        [MIDDLE.certificate],
        "CN=Middle CA,O=Example is revoked",
        revoked=[ROOT.revoke(MIDDLE.certificate), MIDDLE.revoke()],
    ),
    "the revocation list is too old": Way(
        GOOD,
        (),
        "the revocation list of CN=Example CA,O=Example was good until 2026-02-28",
        revoked=[ROOT.revoke(last=TODAY - 9 * DAY, next_update=TODAY - DAY)],
    ),
    "an elliptic curve above an RSA key": Way(ROOT.issue(key=ec_key("curve")), openssl_agrees=True),
}


def verify(case: Way) -> None:
    trust = Trust(tuple(case.anchors), revocations(*case.revoked))
    trust.verify(case.certificate, case.others, OF_CLIENTS, case.today)


@pytest.mark.parametrize("what", CASES)
def test_path(what: str) -> None:
    case = CASES[what]
    if not case.fault:
        verify(case)
        return
    with pytest.raises(NotifyError) as refusal:
        verify(case)
    assert case.fault in refusal.value.why
    assert refusal.value.code == case.code
    assert refusal.value.hint


@pytest.mark.parametrize("what", [what for what, case in CASES.items() if case.openssl_agrees])
def test_openssl_says_the_same(what: str, tmp_path: Path) -> None:
    need("" if which("openssl") else "openssl is not installed")
    case = CASES[what]
    files = {
        "CAfile": pem(*case.anchors),
        "untrusted": pem(*case.others),
        "CRLfile": b"".join(each.public_bytes(Encoding.PEM) for each in case.revoked),
    }
    command = ["openssl", "verify", "-attime", str(int(case.today.timestamp()))]
    for option, content in files.items():
        if content:
            (tmp_path / option).write_bytes(content)
            command += [f"-{option}", str(tmp_path / option)]
    if case.revoked:
        command.append("-crl_check_all" if len(case.revoked) > 1 else "-crl_check")
    (tmp_path / "peer").write_bytes(pem(case.certificate))
    result = subprocess.run([*command, tmp_path / "peer"], capture_output=True, timeout=10)
    assert (result.returncode == 0) is (not case.fault), result


IPSEC_IKE, IPSEC_USER, ANY, CODE_SIGNING = map(
    ObjectIdentifier,
    ("1.3.6.1.5.5.7.3.17", "1.3.6.1.5.5.7.3.7", "2.5.29.37.0", "1.3.6.1.5.5.7.3.3"),
)


@pytest.mark.parametrize(
    ("usages", "client", "server"),
    [
        (None, True, True),
        (CLIENT_AUTH, True, False),
        (SERVER_AUTH[:1], False, True),
        (SERVER_AUTH, True, True),
        ((IPSEC_IKE,), True, True),
        ((IPSEC_USER,), True, True),
        ((ANY,), True, True),
        ((CODE_SIGNING,), False, False),
        ((CODE_SIGNING, *CLIENT_AUTH), True, False),
    ],
)
def test_extended_key_usage(
    usages: Sequence[ObjectIdentifier] | None, client: bool, server: bool
) -> None:
    certificate = ROOT.issue(usages=usages)
    for purposes, good in ((OF_CLIENTS, client), (OF_SERVERS, server)):
        case = Trust((ROOT.certificate,))
        if good:
            case.verify(certificate, (), purposes, TODAY)
            continue
        with pytest.raises(NotifyError) as refusal:
            case.verify(certificate, (), purposes, TODAY)
        assert refusal.value.code == NotifyType.INVALID_CERTIFICATE
        assert "has only the extended key usages" in refusal.value.why


def test_key_usage() -> None:
    of_old = x509.KeyUsage(False, True, False, False, False, False, False, False, False)
    for usage in (None, SIGNS, of_old):
        verify(Way(ROOT.issue(usage=usage)))
    with pytest.raises(NotifyError) as refusal:
        verify(Way(ROOT.issue(usage=ENCRYPTS)))
    assert "is not for signatures" in refusal.value.why


def test_a_maze_of_authorities_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """All have the same name and key, so that each has issued every other."""
    checks = 0

    def counted(key: object) -> bool:
        nonlocal checks
        checks += 1
        return usable(key)

    top = Authority("Maze")
    maze = [Authority("Maze", top, key="Maze", days=n).certificate for n in range(300, 307)]
    monkeypatch.setattr("ipsec.trust.usable", counted)
    with pytest.raises(NotifyError) as refusal:
        verify(Way(top.issue(), maze))
    assert refusal.value.code == NotifyType.INVALID_CERT_AUTHORITY
    assert checks == MAX_PATH - 1, "one signature for each step"


@pytest.mark.parametrize(
    ("key", "good"),
    [
        (rsa_key("short", 1024), False),
        (rsa_key("laptop"), True),
        (ec_key("curve"), True),
        (ed25519.Ed25519PrivateKey.generate(), False),
        (rsa.generate_private_key(3, 2048), True),
    ],
)
def test_keys_that_signatures_are_checked_with(key: PrivateKeyTypes, good: bool) -> None:
    assert usable(key.public_key()) is good


def test_a_key_that_makes_each_check_dear_is_not_used() -> None:
    modulus = rsa_key("laptop").public_key().public_numbers().n
    dear = rsa.RSAPublicNumbers((1 << 2000) + 1, modulus).public_key()
    assert not usable(dear)
