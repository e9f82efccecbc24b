"""Encryption and authentication of messages once keys exist.

RFC 2409 section 5 and appendix B: everything after the header is encrypted in CBC mode. Each
exchange has an IV of its own, which goes on from message to message with the last block of
ciphertext.
"""

from hmac import compare_digest

from ipsec import keymat
from ipsec.constants import ExchangeType, Flags, PayloadType
from ipsec.crypto import KEY_BITS, Phase1Cipher
from ipsec.errors import Drop, DropError
from ipsec.keymat import Skeyid
from ipsec.message import HEADER_LENGTH, Cookies, Header, Payload, Payloads
from ipsec.offers import IkeSuite


class Protection:
    """The keys of one ISAKMP SA and what is done with them.

    `encryption_key` is what the cipher takes of SKEYID_e (RFC 2409 appendix B).
    """

    __slots__ = ("_cipher", "cookies", "encryption_key", "hash", "skeyid")

    def __init__(self, cookies: Cookies, suite: IkeSuite, skeyid: Skeyid) -> None:
        key_bits = suite.key_bits or KEY_BITS[suite.cipher][0]
        key = keymat.cipher_key(suite.hash, skeyid.e, key_bits // 8)
        self.cookies = cookies
        self.hash = suite.hash
        self.skeyid = skeyid
        self.encryption_key = key
        self._cipher = Phase1Cipher(suite.cipher, key_bits, key)

    @property
    def block_length(self) -> int:
        """Octets of a cipher block, and so of an IV."""
        return self._cipher.block_length

    def phase1_iv(self, g_xi: bytes, g_xr: bytes) -> bytes:
        """Return the IV of the first encrypted message of Main Mode."""
        return keymat.phase1_iv(self.hash, g_xi, g_xr, self.block_length)

    def phase2_iv(self, last_phase1_block: bytes, message_id: int) -> bytes:
        """Return the IV of the first message of any other exchange."""
        return keymat.phase2_iv(self.hash, last_phase1_block, message_id, self.block_length)

    def seal(
        self, exchange: ExchangeType, message_id: int, payloads: Payloads, iv: bytes
    ) -> tuple[bytes, bytes]:
        """Return the encrypted message and the IV of the one after it."""
        ciphertext = self._cipher.encrypt(iv, pad(payloads.octets, self.block_length))
        length = HEADER_LENGTH + len(ciphertext)
        header = Header(
            self.cookies, payloads.first_type, exchange, Flags.ENCRYPTION, message_id, length
        )
        return header.build() + ciphertext, self._cipher.next_iv(ciphertext)

    def open(self, header: Header, body: bytes, iv: bytes) -> tuple[Payloads, bytes]:
        """Return what is in an encrypted message, and the IV of the one after it.

        What comes back is not authenticated: that is for its HASH payload to do. Raises
        DecodeError.
        """
        if not header.flags & Flags.ENCRYPTION:
            raise DropError(Drop.IN_CLEAR)
        plaintext = self._cipher.decrypt(iv, body)
        return Payloads.parse(header.first, plaintext), self._cipher.next_iv(body)


def pad(octets: bytes, block_length: int) -> bytes:
    """Fill the last block with zeros (RFC 2409 appendix B)."""
    return octets + bytes(-len(octets) % block_length)


def verify_hash(payloads: Payloads, expected: bytes) -> None:
    """Raise DropError unless the HASH payload, which comes first, is `expected`."""
    if not compare_digest(payloads.the(PayloadType.HASH), expected):
        raise DropError(Drop.NOT_GENUINE)


def hashed(digest: bytes, payloads: Payloads) -> Payloads:
    """Return `payloads` with `digest` before them as HASH payload."""
    return Payloads.of([Payload(PayloadType.HASH, digest), *payloads.items])
