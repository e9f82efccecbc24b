"""The hashes and ciphers of IKE phase 1 (RFC 2409 section 4 and appendix A).

An algorithm that is not in the tables here is a LocalError: which proposal was chosen, was for
us to say.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from ipsec.constants import EncryptionAlgorithm, HashAlgorithm
from wire import DecodeError, LocalError

_HASHES: Final = {
    HashAlgorithm.MD5: "md5",
    HashAlgorithm.SHA1: "sha1",
    HashAlgorithm.SHA2_256: "sha256",
    HashAlgorithm.SHA2_384: "sha384",
    HashAlgorithm.SHA2_512: "sha512",
}

KEY_BITS: Final = {
    EncryptionAlgorithm.TRIPLE_DES_CBC: (192,),
    EncryptionAlgorithm.AES_CBC: (128, 192, 256),
}
"""Key lengths, parity bits included. Only a cipher with a choice of them has a Key Length
attribute (RFC 2409 appendix A)."""


def digest(algorithm: HashAlgorithm, data: bytes) -> bytes:
    """Return hash(data)."""
    return hashlib.new(_hash_name(algorithm), data).digest()


def digest_length(algorithm: HashAlgorithm) -> int:
    """Return the length of a hash, and so of the prf's output, in octets."""
    return hashlib.new(_hash_name(algorithm)).digest_size


def prf(algorithm: HashAlgorithm, key: bytes, data: bytes) -> bytes:
    """Return prf(key, data): HMAC of the negotiated hash (RFC 2409 section 4)."""
    return hmac.digest(key, data, _hash_name(algorithm))


def _hash_name(algorithm: HashAlgorithm) -> str:
    if algorithm not in _HASHES:
        raise LocalError(f"hash {algorithm} is not supported")
    return _HASHES[algorithm]


_CIPHERS: Final[dict[EncryptionAlgorithm, Callable[[bytes], BlockCipherAlgorithm]]] = {
    EncryptionAlgorithm.TRIPLE_DES_CBC: TripleDES,
    EncryptionAlgorithm.AES_CBC: AES,
}


class Phase1Cipher:
    """The CBC cipher that protects ISAKMP messages (RFC 2409 section 5 and appendix B).

    The IV of a message is an argument, because it belongs to an exchange: it begins with
    `keymat.phase1_iv()` or `phase2_iv()` and goes on with `next_iv()`.
    """

    __slots__ = ("_algorithm", "block_length")

    def __init__(self, algorithm: EncryptionAlgorithm, key_bits: int, key: bytes) -> None:
        """`key` is `keymat.cipher_key()`, key_bits // 8 octets. Raises LocalError."""
        if key_bits not in KEY_BITS.get(algorithm, ()) or len(key) * 8 != key_bits:
            raise LocalError(f"{algorithm} with {key_bits} bits and a key of {len(key)} octets")
        self._algorithm = _CIPHERS[algorithm](key)
        self.block_length = self._algorithm.block_size // 8

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        """Encrypt whole blocks; the caller pads. Raises LocalError."""
        if len(plaintext) % self.block_length:
            raise LocalError(f"{len(plaintext)} octets are not whole blocks")
        context = Cipher(self._algorithm, CBC(iv)).encryptor()
        return context.update(plaintext) + context.finalize()

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes:
        """Decrypt whole blocks; the padding stays. Raises DecodeError."""
        if not ciphertext or len(ciphertext) % self.block_length:
            raise DecodeError(f"{len(ciphertext)} octets of ciphertext are not whole blocks")
        context = Cipher(self._algorithm, CBC(iv)).decryptor()
        return context.update(ciphertext) + context.finalize()

    def next_iv(self, ciphertext: bytes) -> bytes:
        """Return the IV of the message after this one: its last cipher block (appendix B)."""
        return ciphertext[-self.block_length :]
