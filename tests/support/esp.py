"""Making an SA do what it never does by itself: use an IV that a test chose."""

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import ECB

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import PROTOCOL_UDP
from ipsec.esp import OutboundSa


def outbound_with_iv(
    spi: int,
    algorithms: EspAlgorithms,
    encryption_key: bytes,
    authentication_key: bytes,
    iv: bytes,
    protocol: int = PROTOCOL_UDP,
) -> OutboundSa:
    """Return an SA for CBC whose first packet has this IV.

    The IV is the encryption of the SA's secret block, chained to an initial block: with a
    zero initial block, the secret block must be what decrypts to the IV.
    """
    block_cipher = algorithms.encryption.block_cipher
    if block_cipher is None:
        raise ValueError("only CBC has an IV to choose")
    context = Cipher(block_cipher(encryption_key), ECB()).decryptor()
    blocks = iter((bytes(len(iv)), context.update(iv)))
    return OutboundSa(
        spi, algorithms, encryption_key, authentication_key, lambda _: next(blocks), protocol
    )


def split_trailer(plaintext: bytes) -> tuple[bytes, int]:
    """Return payload and next header of what was encrypted."""
    return plaintext[: -2 - plaintext[-2]], plaintext[-1]
