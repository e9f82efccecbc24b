"""Main Mode with certificates between two other stacks, recorded, with the key of its messages.

What their signatures hold is what RFC 2409 section 5.1 says: a hash as it is, without the name
of its algorithm in front. The key exchange is not known, so that the hash cannot be computed.
"""

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo

from ipsec.certificates import name_of, read_certificates
from ipsec.constants import EncryptionAlgorithm, HashAlgorithm, PayloadType
from ipsec.credentials import find_bound, is_signed
from ipsec.crypto import Phase1Cipher
from ipsec.errors import NotifyError
from ipsec.keymat import phase1_iv
from ipsec.message import Payloads
from ipsec.payloads import Identification
from ipsec.trust import OF_CLIENTS, Trust
from tests.support.certificates import authority
from tests.support.isakmp import KE, MAIN_MODE, Message, bodies, messages
from tests.support.pcap import DATA
from wire import Reader

CAPTURE = DATA / "wireshark" / "ikev1-certs.pcap"
MESSAGES = [message for message in messages(CAPTURE) if message.exchange == MAIN_MODE]
MD5_LENGTH = 16


def key() -> bytes:
    cookie = MESSAGES[0].cky_i.hex()
    for line in (CAPTURE.parent / "ikev1_decryption_table").read_text().splitlines():
        if line.startswith(cookie):
            return bytes.fromhex(line.partition(",")[2])
    raise LookupError(cookie)


def decrypted() -> list[Payloads]:
    """Return what is in messages 5 and 6."""
    g_xi, g_xr = (bodies(message.payloads(), KE)[0] for message in MESSAGES[2:4])
    iv = phase1_iv(HashAlgorithm.MD5, g_xi, g_xr, 8)
    cipher = Phase1Cipher(EncryptionAlgorithm.TRIPLE_DES_CBC, 192, key())
    found = []
    for message in MESSAGES[4:6]:
        found.append(_parse(message, cipher.decrypt(iv, message.body)))
        iv = message.body[-8:]
    return found


def _parse(message: Message, plaintext: bytes) -> Payloads:
    return Payloads.parse(PayloadType(message.first), plaintext)


@pytest.mark.parametrize("number", [5, 6])
def test_what_was_signed_is_a_hash_alone(number: int) -> None:
    payloads = decrypted()[number - 5]
    certificates = read_certificates(payloads)
    identity = Identification.parse(Reader(payloads.the(PayloadType.ID)))
    found = find_bound(identity, certificates)
    assert found is not None, (identity, [name_of(each.subject) for each in certificates])
    certificate, _ = found
    public = certificate.public_key()
    assert isinstance(public, RSAPublicKey)
    signature = payloads.the(PayloadType.SIG)
    digest = public.recover_data_from_signature(signature, PKCS1v15(), NoDigestInfo())
    assert len(digest) == MD5_LENGTH
    assert is_signed(signature, digest, certificate)
    assert not is_signed(signature, bytes(MD5_LENGTH), certificate)


def test_a_request_names_the_authority_as_ours_do() -> None:
    (certificate, *_) = read_certificates(decrypted()[0])
    (request,) = bodies(MESSAGES[3].payloads(), PayloadType.CERTREQ)
    assert request == b"\4" + certificate.issuer.public_bytes()


def test_why_such_an_old_certificate_is_refused_today() -> None:
    (certificate,) = read_certificates(decrypted()[0])
    trust = Trust((authority().certificate,))
    with pytest.raises(NotifyError) as refusal:
        trust.verify(certificate, (), OF_CLIENTS, certificate.not_valid_before_utc)
    assert refusal.value.why.endswith("is signed with MD5 or SHA-1")
