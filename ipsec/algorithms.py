"""The algorithms of an ESP SA and the lengths that follow from them.

RFC 3602 (AES-CBC), RFC 2451 (3DES-CBC), RFC 2405 (DES-CBC), RFC 4106 (AES-GCM),
RFC 2410 (NULL); RFC 2403, RFC 2404 and RFC 4868 (HMAC). NULL and DES are here for the lab;
whether they may be negotiated is for the policy to say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from ipsec.constants import AuthenticationAlgorithm, EspTransform
from wire import LocalError


def _single_des(key: bytes) -> TripleDES:
    return TripleDES(key * 3)


@dataclass(frozen=True, slots=True)
class Encryption:
    """A transform; all lengths in octets.

    `key_lengths` goes from the Key Length attribute (bits; 0 where the transform has none) to
    what is taken from KEYMAT, which for AES-GCM includes 4 octets of salt. What is encrypted is
    padded to a multiple of `alignment`. `block_cipher` is used in CBC mode.
    """

    key_lengths: Mapping[int, int]
    iv: int
    alignment: int
    block_cipher: Callable[[bytes], BlockCipherAlgorithm] | None = None


@dataclass(frozen=True, slots=True)
class Integrity:
    """An HMAC, with the lengths of its key and of the ICV it is truncated to, in octets.

    `draft_icv` is what peers truncate it to that go by an early draft: Linux, where whoever sets
    the SA up does not say otherwise, as the racoon of Android cannot.
    """

    hash: hashes.HashAlgorithm
    key_length: int
    icv: int
    draft_icv: int | None = None


_AES_KEYS: Final = {128: 16, 192: 24, 256: 32}
_GCM_KEYS: Final = {bits: length + 4 for bits, length in _AES_KEYS.items()}
_GCM_ICV: Final = 16

_ENCRYPTION: Final = {
    EspTransform.DES: Encryption({0: 8}, iv=8, alignment=8, block_cipher=_single_des),
    EspTransform.TRIPLE_DES: Encryption({0: 24}, iv=8, alignment=8, block_cipher=TripleDES),
    EspTransform.NULL: Encryption({0: 0}, iv=0, alignment=4),
    EspTransform.AES_CBC: Encryption(_AES_KEYS, iv=16, alignment=16, block_cipher=AES),
    EspTransform.AES_GCM_16: Encryption(_GCM_KEYS, iv=8, alignment=4),
}

_INTEGRITY: Final = {
    AuthenticationAlgorithm.HMAC_MD5: Integrity(hashes.MD5(), key_length=16, icv=12),
    AuthenticationAlgorithm.HMAC_SHA1: Integrity(hashes.SHA1(), key_length=20, icv=12),
    AuthenticationAlgorithm.HMAC_SHA2_256: Integrity(
        hashes.SHA256(), key_length=32, icv=16, draft_icv=12
    ),
    AuthenticationAlgorithm.HMAC_SHA2_384: Integrity(hashes.SHA384(), key_length=48, icv=24),
    AuthenticationAlgorithm.HMAC_SHA2_512: Integrity(hashes.SHA512(), key_length=64, icv=32),
}


@dataclass(frozen=True, slots=True)
class EspAlgorithms:
    """What a phase-2 transform chose.

    `key_bits` is its Key Length attribute (RFC 2407 section 4.5), 0 for DES, 3DES and NULL,
    which have none. `authentication` is None for AES-GCM, and only there: an SA without
    integrity is not supported. Any values may be held, but the lengths of what is not
    `supported` are a LocalError.
    """

    transform: EspTransform
    key_bits: int = 0
    authentication: AuthenticationAlgorithm | None = None

    @property
    def supported(self) -> bool:
        """Whether an SA can be made of this."""
        encryption = _ENCRYPTION.get(self.transform)
        if encryption is None or self.key_bits not in encryption.key_lengths:
            return False
        if self.transform is EspTransform.AES_GCM_16:
            return self.authentication is None
        return self.authentication in _INTEGRITY

    @property
    def encryption(self) -> Encryption:
        """What the transform is."""
        if not self.supported:
            raise LocalError(f"no SA can be made of {self}")
        return _ENCRYPTION[self.transform]

    @property
    def integrity(self) -> Integrity | None:
        """What the HMAC is, or None for AES-GCM."""
        if not self.supported:
            raise LocalError(f"no SA can be made of {self}")
        return None if self.authentication is None else _INTEGRITY[self.authentication]

    @property
    def encryption_key_length(self) -> int:
        """Octets of the encryption key, a salt included."""
        return self.encryption.key_lengths[self.key_bits]

    @property
    def authentication_key_length(self) -> int:
        """Octets of the authentication key: those of the whole hash (RFC 4868 section 2.1.1)."""
        return 0 if self.integrity is None else self.integrity.key_length

    @property
    def keymat_length(self) -> int:
        """Octets of KEYMAT for one SA (RFC 2409 section 5.5)."""
        return self.encryption_key_length + self.authentication_key_length

    @property
    def icv_length(self) -> int:
        """Octets of the ICV, as the RFC has it."""
        return self.icv_lengths[0]

    @property
    def icv_lengths(self) -> tuple[int, ...]:
        """Octets that the ICV may have, the RFC's own first; no message tells which.

        There is more than one only with block ciphers: then a packet's length fits one alone.
        """
        integrity = self.integrity
        if integrity is None:
            return (_GCM_ICV,)
        if integrity.draft_icv is None or self.encryption.block_cipher is None:
            return (integrity.icv,)
        return integrity.icv, integrity.draft_icv

    def split(self, keymat: bytes) -> tuple[bytes, bytes]:
        """Return encryption key and authentication key, in this order (RFC 4301 section 4.5.2).

        Raises LocalError unless it has `keymat_length` octets.
        """
        if len(keymat) != self.keymat_length:
            raise LocalError(f"{len(keymat)} octets of KEYMAT for {self}")
        return keymat[: self.encryption_key_length], keymat[self.encryption_key_length :]
