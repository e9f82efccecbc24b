"""The cryptography of ESP packets: one object for each SA and direction, living as long.

What a packet costs is mostly what has to be set up for it, so nothing is:

* A CBC context is never finished. Decryption of a block needs only the block before it, so IV
  and ciphertext are decrypted in one run: the first block comes out as junk and all others
  right, whatever packet came before, and even if some were lost or reordered.
* Encryption puts a secret random block in front of the plaintext. It comes out as the IV of
  the packet: an encryption of what is new for each packet and known to nobody, as RFC 3602
  section 3 demands (the first method of NIST SP 800-38A appendix C).
* HMAC is copied with its key already absorbed.

A context that is given anything but whole blocks garbles every packet after it. The SAs in
`ipsec.esp` see to that before they call.
"""

from collections.abc import Callable
from hmac import compare_digest
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hmac import HMAC

from ipsec.algorithms import EspAlgorithms
from wire import Entropy
from wire.types import Octets

HEADER_LENGTH = 8
"""SPI and sequence number, in the clear before everything else (RFC 4303 section 2)."""

_SALT_LENGTH = 4


class Opener(Protocol):
    """Authenticates and decrypts the packets of one SA."""

    prefix: int
    """Octets of what `open()` returns that stand before the payload and mean nothing."""

    def open(self, packet: Octets) -> bytes | None:
        """Return all that was encrypted, after the prefix; None if the ICV is wrong."""

    def truncated(self, icv_length: int) -> "Opener":
        """Return the like for ICVs of another length, one of the algorithms' own."""


class Sealer(Protocol):
    """Encrypts and authenticates the packets of one SA."""

    def seal(self, header: bytes, payload: Octets, trailer: bytes) -> bytes:
        """Return the packet from SPI to ICV; payload and trailer together are whole blocks."""

    def truncated(self, icv_length: int) -> "Sealer":
        """Return the like for ICVs of another length, one of the algorithms' own."""


def make_opener(
    algorithms: EspAlgorithms, encryption_key: bytes, authentication_key: bytes
) -> Opener:
    """Return the opener of an inbound SA, for keys of the right lengths."""
    encryption, integrity = algorithms.encryption, algorithms.integrity
    if integrity is None:
        return _GcmOpener(encryption_key, encryption.iv)
    hmac = TruncatedHmac(HMAC(authentication_key, integrity.hash), integrity.icv)
    if encryption.block_cipher is None:
        return _HmacOpener(bytes, 0, hmac)
    # The IV that the context itself is given only takes part in the junk.
    mode = CBC(bytes(encryption.iv))
    context = Cipher(encryption.block_cipher(encryption_key), mode).decryptor()
    return _HmacOpener(context.update, encryption.iv, hmac)


def make_sealer(
    algorithms: EspAlgorithms, encryption_key: bytes, authentication_key: bytes, entropy: Entropy
) -> Sealer:
    """Return the sealer of an outbound SA, for keys of the right lengths."""
    encryption, integrity = algorithms.encryption, algorithms.integrity
    if integrity is None:
        return _GcmSealer(encryption_key)
    hmac = TruncatedHmac(HMAC(authentication_key, integrity.hash), integrity.icv)
    if encryption.block_cipher is None:
        return _HmacSealer(bytes, b"", hmac)
    mode = CBC(bytes(encryption.iv))
    context = Cipher(encryption.block_cipher(encryption_key), mode).encryptor()
    return _HmacSealer(context.update, entropy(encryption.iv), hmac)


class TruncatedHmac:
    """HMAC with its key absorbed, cut to the length of an ICV: RFC 2403, RFC 2404, RFC 4868."""

    __slots__ = ("_keyed", "length")

    def __init__(self, keyed: HMAC, length: int) -> None:
        self._keyed = keyed
        self.length = length

    def truncated(self, length: int) -> "TruncatedHmac":
        return TruncatedHmac(self._keyed, length)

    def icv(self, data: Octets) -> bytes:
        mac = self._keyed.copy()
        mac.update(data)
        return mac.finalize()[: self.length]


class _HmacOpener:
    """CBC or NULL with HMAC over SPI, sequence number, IV and ciphertext."""

    __slots__ = ("_decrypt", "_hmac", "_icv", "prefix")

    def __init__(
        self, decrypt: Callable[[Octets], bytes], iv_length: int, hmac: TruncatedHmac
    ) -> None:
        self._decrypt = decrypt
        self._hmac = hmac
        self._icv = -hmac.length
        self.prefix = iv_length

    def open(self, packet: Octets) -> bytes | None:
        covered = packet[: self._icv]
        if not compare_digest(self._hmac.icv(covered), packet[self._icv :]):
            return None
        return self._decrypt(covered[HEADER_LENGTH:])

    def truncated(self, icv_length: int) -> "_HmacOpener":
        return _HmacOpener(self._decrypt, self.prefix, self._hmac.truncated(icv_length))


class _HmacSealer:
    """The other direction; `nonce` is the secret block that becomes the IV."""

    __slots__ = ("_encrypt", "_hmac", "_nonce")

    def __init__(
        self, encrypt: Callable[[Octets], bytes], nonce: bytes, hmac: TruncatedHmac
    ) -> None:
        self._encrypt = encrypt
        self._nonce = nonce
        self._hmac = hmac

    def seal(self, header: bytes, payload: Octets, trailer: bytes) -> bytes:
        covered = header + self._encrypt(b"".join((self._nonce, payload, trailer)))
        return covered + self._hmac.icv(covered)

    def truncated(self, icv_length: int) -> "_HmacSealer":
        return _HmacSealer(self._encrypt, self._nonce, self._hmac.truncated(icv_length))


class _GcmOpener:
    """AES-GCM: RFC 4106. The nonce is the salt and the IV, the AAD is the header."""

    __slots__ = ("_aead", "_salt", "_text", "prefix")

    def __init__(self, key: bytes, iv_length: int) -> None:
        self._aead = AESGCM(key[:-_SALT_LENGTH])
        self._salt = key[-_SALT_LENGTH:]
        self._text = HEADER_LENGTH + iv_length
        self.prefix = 0

    def open(self, packet: Octets) -> bytes | None:
        nonce = self._salt + packet[HEADER_LENGTH : self._text]
        try:
            return self._aead.decrypt(nonce, packet[self._text :], packet[:HEADER_LENGTH])
        except InvalidTag:
            return None

    def truncated(self, icv_length: int) -> "_GcmOpener":
        return self


class _GcmSealer:
    """The other direction. The header serves as IV: within an SA no two are the same."""

    __slots__ = ("_aead", "_salt")

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key[:-_SALT_LENGTH])
        self._salt = key[-_SALT_LENGTH:]

    def seal(self, header: bytes, payload: Octets, trailer: bytes) -> bytes:
        text = b"".join((payload, trailer))
        return header + header + self._aead.encrypt(self._salt + header, text, header)

    def truncated(self, icv_length: int) -> "_GcmSealer":
        return self
