"""Hashes and ciphers of phase 1; the numbers themselves are checked in tests/vectors."""

import pytest

from ipsec.constants import EncryptionAlgorithm, HashAlgorithm
from ipsec.crypto import KEY_BITS, Phase1Cipher, digest, digest_length, prf
from wire import DecodeError, LocalError


@pytest.mark.parametrize(
    ("algorithm", "length"),
    [
        (HashAlgorithm.MD5, 16),
        (HashAlgorithm.SHA1, 20),
        (HashAlgorithm.SHA2_256, 32),
        (HashAlgorithm.SHA2_384, 48),
        (HashAlgorithm.SHA2_512, 64),
    ],
)
def test_digest_length(algorithm: HashAlgorithm, length: int) -> None:
    assert digest_length(algorithm) == length
    assert len(digest(algorithm, b"data")) == length
    assert len(prf(algorithm, b"key", b"data")) == length


@pytest.mark.parametrize("algorithm", [HashAlgorithm.TIGER, HashAlgorithm(99)])
def test_unknown_hash(algorithm: HashAlgorithm) -> None:
    with pytest.raises(LocalError):
        prf(algorithm, b"key", b"data")


CIPHERS = [(algorithm, bits) for algorithm, lengths in KEY_BITS.items() for bits in lengths]


@pytest.mark.parametrize(("algorithm", "bits"), CIPHERS)
def test_messages_are_chained(algorithm: EncryptionAlgorithm, bits: int) -> None:
    """Two messages with the IV handed on are one CBC run (RFC 2409 appendix B)."""
    cipher = Phase1Cipher(algorithm, bits, bytes(range(bits // 8)))
    iv, first, second = (bytes([n]) * 2 * cipher.block_length for n in (1, 2, 3))
    iv = iv[: cipher.block_length]
    one = cipher.encrypt(iv, first)
    two = cipher.encrypt(cipher.next_iv(one), second)
    assert one + two == cipher.encrypt(iv, first + second)
    assert cipher.decrypt(iv, one) == first
    assert cipher.decrypt(cipher.next_iv(one), two) == second


@pytest.mark.parametrize(("algorithm", "bits"), CIPHERS)
def test_partial_blocks(algorithm: EncryptionAlgorithm, bits: int) -> None:
    cipher = Phase1Cipher(algorithm, bits, bytes(range(bits // 8)))
    iv = bytes(cipher.block_length)
    for length in (0, 1, cipher.block_length - 1, cipher.block_length + 1):
        with pytest.raises(DecodeError):
            cipher.decrypt(iv, bytes(length))
    with pytest.raises(LocalError):
        cipher.encrypt(iv, b"x")


@pytest.mark.parametrize(
    ("algorithm", "bits", "key_length"),
    [
        (EncryptionAlgorithm.AES_CBC, 0, 0),
        (EncryptionAlgorithm.AES_CBC, 128, 24),
        (EncryptionAlgorithm.AES_CBC, 512, 64),
        (EncryptionAlgorithm.TRIPLE_DES_CBC, 192, 16),
        (EncryptionAlgorithm.DES_CBC, 64, 8),
        (EncryptionAlgorithm(99), 128, 16),
    ],
)
def test_cipher_that_was_never_chosen(
    algorithm: EncryptionAlgorithm, bits: int, key_length: int
) -> None:
    with pytest.raises(LocalError):
        Phase1Cipher(algorithm, bits, bytes(key_length))
