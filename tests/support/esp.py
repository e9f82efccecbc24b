"""SAs for tests: one pair for each choice of algorithms, and IVs that a test chose."""

from itertools import count
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import ECB

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import PROTOCOL_UDP, AuthenticationAlgorithm, EspTransform
from ipsec.esp import InboundSa, OutboundSa

_HMACS: Final = (
    AuthenticationAlgorithm.HMAC_MD5,
    AuthenticationAlgorithm.HMAC_SHA1,
    AuthenticationAlgorithm.HMAC_SHA2_256,
    AuthenticationAlgorithm.HMAC_SHA2_384,
    AuthenticationAlgorithm.HMAC_SHA2_512,
)
ALL_ALGORITHMS: Final = (
    *(
        EspAlgorithms(EspTransform.AES_CBC, bits, hmac)
        for bits in (128, 192, 256)
        for hmac in _HMACS
    ),
    *(EspAlgorithms(EspTransform.TRIPLE_DES, 0, hmac) for hmac in _HMACS),
    *(EspAlgorithms(EspTransform.AES_GCM_16, bits) for bits in (128, 192, 256)),
    EspAlgorithms(EspTransform.DES, 0, AuthenticationAlgorithm.HMAC_SHA1),
    EspAlgorithms(EspTransform.NULL, 0, AuthenticationAlgorithm.HMAC_SHA1),
)
SPI: Final = 0x1234ABCD


def name(algorithms: EspAlgorithms) -> str:
    """Return what to call a test of these algorithms."""
    return f"{algorithms.transform}-{algorithms.key_bits}-{algorithms.authentication}"


def keys(algorithms: EspAlgorithms) -> tuple[bytes, bytes]:
    """Return encryption key and authentication key, the same each time."""
    return algorithms.split(bytes(n * 7 + 1 & 255 for n in range(algorithms.keymat_length)))


def pair(algorithms: EspAlgorithms, protocol: int = PROTOCOL_UDP) -> tuple[OutboundSa, InboundSa]:
    """Return both ends of one SA."""
    counter = count(1)
    outbound = OutboundSa(
        SPI, algorithms, *keys(algorithms), lambda n: next(counter).to_bytes(n), protocol
    )
    return outbound, InboundSa(SPI, algorithms, *keys(algorithms), protocol=protocol)


def outbound_with_iv(
    spi: int,
    algorithms: EspAlgorithms,
    encryption_key: bytes,
    authentication_key: bytes,
    iv: bytes,
    protocol: int = PROTOCOL_UDP,
) -> OutboundSa:
    """Return an SA for CBC whose first packet has this IV.

    The first IV is the encryption of the SA's secret block, which is all the entropy it takes.
    """
    block_cipher = algorithms.encryption.block_cipher
    if block_cipher is None:
        raise ValueError("only CBC has an IV to choose")
    context = Cipher(block_cipher(encryption_key), ECB()).decryptor()
    nonce = context.update(iv)
    return OutboundSa(
        spi, algorithms, encryption_key, authentication_key, lambda _: nonce, protocol
    )


def split_trailer(plaintext: bytes) -> tuple[bytes, int]:
    """Return payload and next header of what was encrypted."""
    return plaintext[: -2 - plaintext[-2]], plaintext[-1]
