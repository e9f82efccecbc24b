"""Diffie-Hellman groups: RFC 2409 section 6, RFC 3526 (MODP), RFC 5903 (ECP).

A `KeyAgreement` is one side of one exchange. Its public value is what a KE payload carries,
and its shared secret is what RFC 2409 calls g^xy.
"""

import warnings
from abc import ABC, abstractmethod
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.utils import CryptographyDeprecationWarning

from ipsec.constants import GroupDescription
from wire import Entropy, LocalError

with warnings.catch_warnings():
    # Deprecated in version 50; from 53 on they are in hazmat.decrepit.asymmetric.dh alone.
    warnings.simplefilter("ignore", CryptographyDeprecationWarning)
    from cryptography.hazmat.primitives.asymmetric.dh import (
        DHParameterNumbers,
        DHPrivateNumbers,
        DHPublicNumbers,
    )

_GENERATOR: Final = 2


def _pi(bits: int) -> int:
    """Return the integer part of 2^bits * pi, by Machin's formula."""
    guard = 64
    one = 1 << bits + guard

    def arctangent_of_inverse(n: int) -> int:
        power = total = one // n
        divisor, sign = 1, 1
        while power:
            power //= n * n
            divisor, sign = divisor + 2, -sign
            total += sign * (power // divisor)
        return total

    return 4 * (4 * arctangent_of_inverse(5) - arctangent_of_inverse(239)) >> guard


def _prime(bits: int, addend: int) -> int:
    """Return the prime as RFC 2409 section 6.2 and RFC 3526 sections 2 to 5 define it."""
    return (1 << bits) - (1 << bits - 64) - 1 + (_pi(bits - 130) + addend << 64)


_PRIMES: Final = {
    GroupDescription.MODP_1024: _prime(1024, 129093),
    GroupDescription.MODP_1536: _prime(1536, 741804),
    GroupDescription.MODP_2048: _prime(2048, 124476),
    GroupDescription.MODP_3072: _prime(3072, 1690314),
    GroupDescription.MODP_4096: _prime(4096, 240904),
}

_EXPONENT_LENGTHS: Final = {
    GroupDescription.MODP_1024: 30,
    GroupDescription.MODP_1536: 30,
    GroupDescription.MODP_2048: 40,
    GroupDescription.MODP_3072: 53,
    GroupDescription.MODP_4096: 60,
}
"""In octets: no less than the larger estimates of RFC 3526 section 8."""

_CURVES: Final[dict[GroupDescription, ec.EllipticCurve]] = {
    GroupDescription.ECP_256: ec.SECP256R1(),
    GroupDescription.ECP_384: ec.SECP384R1(),
    GroupDescription.ECP_521: ec.SECP521R1(),
}

SUPPORTED_GROUPS: Final = frozenset((*_PRIMES, *_CURVES))


class InvalidKey(ValueError):  # noqa: N818
    """A peer's public value that is not in the group, or that would make the secret known."""


class KeyAgreement(ABC):
    """Our side of one exchange. `public` is ready for the KE payload."""

    __slots__ = ("group", "public")

    def __init__(self, group: GroupDescription, public: bytes) -> None:
        self.group = group
        self.public = public

    @staticmethod
    def generate(group: GroupDescription, entropy: Entropy) -> "KeyAgreement":
        """Make a new private key. Raises LocalError for a group that is not supported."""
        if group in _PRIMES:
            return ModpAgreement(group, _random_exponent(group, entropy))
        if group in _CURVES:
            return EcpAgreement(group, _random_scalar(group, entropy))
        raise LocalError(f"{group} is not supported")

    def shared(self, peer_public: bytes) -> bytes:
        """Return g^xy for the data of the peer's KE payload. Raises InvalidKey."""
        if len(peer_public) != len(self.public):
            raise InvalidKey(f"a public value of {len(peer_public)} octets in {self.group}")
        return self._agree(peer_public)

    @abstractmethod
    def _agree(self, peer_public: bytes) -> bytes:
        """Return g^xy for a public value of the right length. Raises InvalidKey."""


def public_length(group: GroupDescription) -> int:
    """Return the octets of a public value (RFC 2409 section 5, RFC 5903 section 7)."""
    if group in _PRIMES:
        return _PRIMES[group].bit_length() // 8
    if group in _CURVES:
        return 2 * _octets(_CURVES[group].key_size)
    raise LocalError(f"{group} is not supported")


class ModpAgreement(KeyAgreement):
    """RFC 2409 section 5: values are as long as the prime, with zeros in front."""

    __slots__ = ("_exponent",)

    def __init__(self, group: GroupDescription, exponent: int) -> None:
        super().__init__(group, _power(_GENERATOR, exponent, group))
        self._exponent = exponent

    def _agree(self, peer_public: bytes) -> bytes:
        base = int.from_bytes(peer_public)
        # 0, 1 and p - 1 generate what everybody can compute, and nothing else is that small.
        if not 2 <= base <= _PRIMES[self.group] - 2:
            raise InvalidKey(f"a public value outside of {self.group}, or a trivial one")
        return _power(base, self._exponent, self.group)


def _random_exponent(group: GroupDescription, entropy: Entropy) -> int:
    length = _EXPONENT_LENGTHS[group]
    return int.from_bytes(entropy(length)) | 1 << length * 8 - 1


def _power(base: int, exponent: int, group: GroupDescription) -> bytes:
    """Return base^exponent mod p, by OpenSSL: ten times as fast as pow(), and constant-time.

    It is computed as the shared secret of a private key and the public key `base`. The public
    value that belongs to the private key plays no part, so that any will do.

    OpenSSL does not know MODP_1024, and would prove its prime anew each time: 30 ms, for which
    any stranger could make us pay. There pow() is the lesser evil, with exponents that are used
    twice in their life.
    """
    prime = _PRIMES[group]
    if group == GroupDescription.MODP_1024:
        return pow(base, exponent, prime).to_bytes(public_length(group))
    parameters = DHParameterNumbers(prime, _GENERATOR)
    unused = DHPublicNumbers(_GENERATOR, parameters)
    private_key = DHPrivateNumbers(exponent, unused).private_key()
    return private_key.exchange(DHPublicNumbers(base, parameters).public_key())


class EcpAgreement(KeyAgreement):
    """RFC 5903 section 7: a public value is x and y, the shared secret is x alone."""

    __slots__ = ("_private_key",)

    def __init__(self, group: GroupDescription, scalar: int) -> None:
        self._private_key = ec.derive_private_key(scalar, _CURVES[group])
        point = self._private_key.public_key().public_numbers()
        length = _octets(_CURVES[group].key_size)
        super().__init__(group, point.x.to_bytes(length) + point.y.to_bytes(length))

    def _agree(self, peer_public: bytes) -> bytes:
        uncompressed = b"\x04" + peer_public
        try:
            peer = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[self.group], uncompressed)
        except ValueError as error:
            raise InvalidKey(f"a public value that is not a point of {self.group}") from error
        return self._private_key.exchange(ec.ECDH(), peer)


def _random_scalar(group: GroupDescription, entropy: Entropy) -> int:
    """Return a number from 1 to n - 1: 64 bits more than n has, reduced (FIPS 186-5 A.2.1)."""
    curve = _CURVES[group]
    bits = int.from_bytes(entropy(_octets(curve.key_size + 64)))
    return bits % (curve.group_order - 1) + 1


def _octets(bits: int) -> int:
    return -(-bits // 8)
