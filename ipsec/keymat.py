"""Hashes, keys and IVs of IKE: RFC 2409 section 5 and appendix B.

Arguments are named as there. `..._b` is the body of a payload, without the generic header;
`ni` and `nr` are the bodies of the nonces; a message id is a number; everything else is octets.
"""

from dataclasses import dataclass, field
from typing import Self

from ipsec.constants import HashAlgorithm, ProtocolId
from ipsec.crypto import digest, prf

# Section 5: SKEYID and what comes from it.


def skeyid_psk(algorithm: HashAlgorithm, psk: bytes, ni: bytes, nr: bytes) -> bytes:
    """SKEYID for pre-shared keys."""
    return prf(algorithm, psk, ni + nr)


def skeyid_signatures(algorithm: HashAlgorithm, ni: bytes, nr: bytes, g_xy: bytes) -> bytes:
    """SKEYID for signatures."""
    return prf(algorithm, ni + nr, g_xy)


@dataclass(frozen=True, slots=True)
class Skeyid:
    """The keys of an ISAKMP SA: `d` derives others, `a` authenticates, `e` encrypts."""

    d: bytes = field(repr=False)
    a: bytes = field(repr=False)
    e: bytes = field(repr=False)

    @classmethod
    def derive(
        cls, algorithm: HashAlgorithm, skeyid: bytes, g_xy: bytes, cky_i: bytes, cky_r: bytes
    ) -> Self:
        """SKEYID_d, SKEYID_a and SKEYID_e."""
        exchange = g_xy + cky_i + cky_r
        d = prf(algorithm, skeyid, exchange + b"\0")
        a = prf(algorithm, skeyid, d + exchange + b"\1")
        e = prf(algorithm, skeyid, a + exchange + b"\2")
        return cls(d, a, e)


def hash_i(
    algorithm: HashAlgorithm,
    skeyid: bytes,
    g_xi: bytes,
    g_xr: bytes,
    cky_i: bytes,
    cky_r: bytes,
    sai_b: bytes,
    idii_b: bytes,
) -> bytes:
    """HASH_I, by which the initiator authenticates phase 1."""
    return prf(algorithm, skeyid, g_xi + g_xr + cky_i + cky_r + sai_b + idii_b)


def hash_r(
    algorithm: HashAlgorithm,
    skeyid: bytes,
    g_xi: bytes,
    g_xr: bytes,
    cky_i: bytes,
    cky_r: bytes,
    sai_b: bytes,
    idir_b: bytes,
) -> bytes:
    """HASH_R, by which the responder does; the arguments are in the order of HASH_I."""
    return prf(algorithm, skeyid, g_xr + g_xi + cky_r + cky_i + sai_b + idir_b)


# Section 5.5: Quick Mode. Section 5.7: Informational Exchanges.


def quick_hash_1(
    algorithm: HashAlgorithm, skeyid_a: bytes, message_id: int, payloads: bytes
) -> bytes:
    """HASH(1), over all payloads after it, headers included and padding excluded."""
    return prf(algorithm, skeyid_a, _octets(message_id) + payloads)


def quick_hash_2(
    algorithm: HashAlgorithm, skeyid_a: bytes, message_id: int, ni: bytes, payloads: bytes
) -> bytes:
    """HASH(2), over all payloads after it, headers included and padding excluded."""
    return prf(algorithm, skeyid_a, _octets(message_id) + ni + payloads)


def quick_hash_3(
    algorithm: HashAlgorithm, skeyid_a: bytes, message_id: int, ni: bytes, nr: bytes
) -> bytes:
    """HASH(3)."""
    return prf(algorithm, skeyid_a, b"\0" + _octets(message_id) + ni + nr)


informational_hash = quick_hash_1
"""HASH(1) of an Informational Exchange: computed alike."""


def esp_keymat(
    algorithm: HashAlgorithm,
    skeyid_d: bytes,
    protocol: ProtocolId,
    spi: bytes,
    ni: bytes,
    nr: bytes,
    length: int,
    g_qm_xy: bytes = b"",
) -> bytes:
    """The first `length` octets of KEYMAT, for the SA whose destination chose `spi`.

    `g_qm_xy` is the shared secret of Quick Mode's own key exchange, if there was one (PFS).
    """
    return _expand(algorithm, skeyid_d, b"", g_qm_xy + bytes((protocol,)) + spi + ni + nr, length)


# Appendix B: the key and the IVs of the cipher that protects ISAKMP messages.


def cipher_key(algorithm: HashAlgorithm, skeyid_e: bytes, length: int) -> bytes:
    """The key of `length` octets for the phase-1 cipher: Ka, or SKEYID_e if it is enough."""
    if len(skeyid_e) >= length:
        return skeyid_e[:length]
    return _expand(algorithm, skeyid_e, b"\0", b"", length)


def phase1_iv(algorithm: HashAlgorithm, g_xi: bytes, g_xr: bytes, block_length: int) -> bytes:
    """The IV of the first encrypted message of phase 1."""
    return digest(algorithm, g_xi + g_xr)[:block_length]


def phase2_iv(
    algorithm: HashAlgorithm, last_phase1_block: bytes, message_id: int, block_length: int
) -> bytes:
    """The IV of the first message of a phase-2 or Informational Exchange."""
    return digest(algorithm, last_phase1_block + _octets(message_id))[:block_length]


def _expand(algorithm: HashAlgorithm, key: bytes, first: bytes, seed: bytes, length: int) -> bytes:
    """K1 | K2 | ..., K1 = prf(key, first | seed), Kn = prf(key, Kn-1 | seed), cut to `length`."""
    block, blocks = first, b""
    while len(blocks) < length:
        block = prf(algorithm, key, block + seed)
        blocks += block
    return blocks[:length]


def _octets(message_id: int) -> bytes:
    return message_id.to_bytes(4)
