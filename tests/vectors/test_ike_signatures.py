"""Main Mode with RSA signatures between strongSwan and us: its keys and hashes, both signatures."""

from datetime import UTC, datetime

from cryptography import x509

from ipsec.certificates import read_certificates, request_payloads
from ipsec.constants import EncryptionAlgorithm, GroupDescription, HashAlgorithm, PayloadType
from ipsec.credentials import find_bound, is_signed
from ipsec.keymat import Skeyid, skeyid_signatures
from ipsec.message import Payloads, parse_message
from ipsec.offers import IkeSuite
from ipsec.payloads import Identification
from ipsec.phase1_keys import KeyExchange, Phase1Keys
from ipsec.trust import OF_CLIENTS, OF_SERVERS, Trust
from tests.support.vectors import load, octets
from wire import Reader

VECTOR = load("ike_rsa_signatures_strongswan.json")
AUTHORITY = x509.load_pem_x509_certificate(VECTOR["authority"].encode())
MESSAGES = [parse_message(bytes.fromhex(message)) for message in VECTOR["messages"]]
COOKIES = MESSAGES[-1][0].cookies
SUITE = IkeSuite(EncryptionAlgorithm.AES_CBC, 256, HashAlgorithm.SHA1, GroupDescription.MODP_2048)
SAI_B, G_XI, NI, G_XR, NR = (
    Payloads.parse(MESSAGES[number][0].first, MESSAGES[number][1]).the(kind)
    for number, kind in (
        (0, PayloadType.SA),
        (2, PayloadType.KE),
        (2, PayloadType.NONCE),
        (3, PayloadType.KE),
        (3, PayloadType.NONCE),
    )
)
(G_XY,) = octets(VECTOR, "g_xy")
KEYS = Phase1Keys(SUITE, COOKIES, KeyExchange(G_XI, G_XR, NI, NR, G_XY), None)
RECORDED = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_its_keys() -> None:
    skeyid = skeyid_signatures(HashAlgorithm.SHA1, NI, NR, G_XY)
    assert (skeyid,) == octets(VECTOR, "skeyid")
    assert Skeyid.derive(HashAlgorithm.SHA1, skeyid, G_XY, *COOKIES) == Skeyid(
        *octets(VECTOR, "skeyid_d", "skeyid_a", "skeyid_e")
    )


def test_both_have_signed_the_hashes_that_it_computed() -> None:
    iv = KEYS.first_iv
    for (header, body), of_initiator, name, subject, purposes in (
        (MESSAGES[4], True, "hash_i", "CN=laptop,O=Example", OF_CLIENTS),
        (MESSAGES[5], False, "hash_r", "CN=vpn.example.com,O=Example", OF_SERVERS),
    ):
        payloads, iv = KEYS.protection.open(header, body, iv)
        id_b = payloads.the(PayloadType.ID)
        digest = KEYS.proof(of_initiator, SAI_B, id_b)
        assert (digest,) == octets(VECTOR, name)
        found = find_bound(Identification.parse(Reader(id_b)), read_certificates(payloads))
        assert found is not None
        certificate, identity = found
        assert str(identity) == subject
        assert is_signed(payloads.the(PayloadType.SIG), digest, certificate)
        Trust((AUTHORITY,)).verify(certificate, (), purposes, RECORDED)


def test_it_asks_for_certificates_as_we_do() -> None:
    iv = KEYS.first_iv
    payloads, _ = KEYS.protection.open(*MESSAGES[4], iv)
    (request,) = request_payloads([AUTHORITY])
    assert payloads.all(PayloadType.CERTREQ) == [request.body]
