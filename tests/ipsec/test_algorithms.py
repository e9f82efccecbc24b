"""Lengths of keys, IVs and ICVs, as the RFCs of the algorithms have them."""

import pytest

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import AuthenticationAlgorithm, EspTransform
from wire import LocalError

AES, GCM, NULL = EspTransform.AES_CBC, EspTransform.AES_GCM_16, EspTransform.NULL
DES, TRIPLE_DES = EspTransform.DES, EspTransform.TRIPLE_DES
MD5, SHA1 = AuthenticationAlgorithm.HMAC_MD5, AuthenticationAlgorithm.HMAC_SHA1
SHA2_256 = AuthenticationAlgorithm.HMAC_SHA2_256
SHA2_384 = AuthenticationAlgorithm.HMAC_SHA2_384
SHA2_512 = AuthenticationAlgorithm.HMAC_SHA2_512


@pytest.mark.parametrize(
    ("algorithms", "encryption_key", "authentication_key", "iv", "alignment", "icv"),
    [
        (EspAlgorithms(AES, 128, SHA1), 16, 20, 16, 16, 12),
        (EspAlgorithms(AES, 192, SHA1), 24, 20, 16, 16, 12),
        (EspAlgorithms(AES, 256, SHA2_256), 32, 32, 16, 16, 16),
        (EspAlgorithms(AES, 256, SHA2_384), 32, 48, 16, 16, 24),
        (EspAlgorithms(AES, 256, SHA2_512), 32, 64, 16, 16, 32),
        (EspAlgorithms(TRIPLE_DES, 0, MD5), 24, 16, 8, 8, 12),
        (EspAlgorithms(DES, 0, SHA1), 8, 20, 8, 8, 12),
        (EspAlgorithms(NULL, 0, SHA1), 0, 20, 0, 4, 12),
        (EspAlgorithms(GCM, 128), 20, 0, 8, 4, 16),
        (EspAlgorithms(GCM, 256), 36, 0, 8, 4, 16),
    ],
)
def test_lengths(
    algorithms: EspAlgorithms,
    encryption_key: int,
    authentication_key: int,
    iv: int,
    alignment: int,
    icv: int,
) -> None:
    assert algorithms.supported
    assert algorithms.encryption_key_length == encryption_key
    assert algorithms.authentication_key_length == authentication_key
    assert algorithms.encryption.iv == iv
    assert algorithms.encryption.alignment == alignment
    assert algorithms.icv_length == icv
    keymat = bytes(range(encryption_key + authentication_key))
    assert algorithms.keymat_length == len(keymat)
    assert algorithms.split(keymat) == (keymat[:encryption_key], keymat[encryption_key:])
    with pytest.raises(LocalError):
        algorithms.split(keymat + b"\0")


@pytest.mark.parametrize(
    "algorithms",
    [
        EspAlgorithms(AES, 0, SHA1),
        EspAlgorithms(AES, 64, SHA1),
        EspAlgorithms(AES, 128, None),
        EspAlgorithms(NULL, 0, None),
        EspAlgorithms(TRIPLE_DES, 192, SHA1),
        EspAlgorithms(GCM, 128, SHA1),
        EspAlgorithms(AES, 128, AuthenticationAlgorithm.DES_MAC),
        EspAlgorithms(EspTransform.BLOWFISH, 128, SHA1),
        EspAlgorithms(EspTransform(249), 128, AuthenticationAlgorithm(65535)),
    ],
)
def test_what_no_sa_can_be_made_of(algorithms: EspAlgorithms) -> None:
    assert not algorithms.supported
    with pytest.raises(LocalError):
        _ = algorithms.keymat_length
    with pytest.raises(LocalError):
        _ = algorithms.icv_length
