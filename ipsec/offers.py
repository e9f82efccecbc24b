"""What the attributes of a transform mean, both ways.

RFC 2409 appendix A (phase 1), RFC 2407 section 4.5 (phase 2). A transform that holds anything
we do not know is not understood, which is no error: peers offer lists, and what one does not
know is passed over (RFC 2408 section 5.6).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import (
    KEY_IKE,
    AuthenticationAlgorithm,
    AuthenticationMethod,
    EncapsulationMode,
    EncryptionAlgorithm,
    EspTransform,
    GroupDescription,
    HashAlgorithm,
    IkeAttribute,
    IpsecAttribute,
    LifeType,
    NotifyType,
)
from ipsec.errors import NotifyError
from ipsec.proposals import Attribute, Transform
from wire import DecodeError


@dataclass(frozen=True, slots=True)
class IkeSuite:
    """The algorithms of an ISAKMP SA; `key_bits` is 0 for ciphers without a Key Length."""

    cipher: EncryptionAlgorithm
    key_bits: int
    hash: HashAlgorithm
    group: GroupDescription

    def __str__(self) -> str:
        key = f"-{self.key_bits}" if self.key_bits else ""
        return f"{self.cipher}{key}/{self.hash}/{self.group}"


@dataclass(frozen=True, slots=True)
class IkeOffer:
    """A phase-1 transform, understood. Lifetimes are None where they are not offered."""

    suite: IkeSuite
    method: AuthenticationMethod
    seconds: int | None
    kilobytes: int | None

    def __str__(self) -> str:
        pre_shared = self.method is AuthenticationMethod.PRE_SHARED_KEY
        return str(self.suite) if pre_shared else f"{self.suite} with {self.method}"


@dataclass(frozen=True, slots=True)
class EspOffer:
    """A phase-2 transform, understood. `group` is that of perfect forward secrecy, if any."""

    algorithms: EspAlgorithms
    mode: EncapsulationMode
    group: GroupDescription | None
    seconds: int | None
    kilobytes: int | None

    def __str__(self) -> str:
        group = f" PFS {self.group}" if self.group else ""
        return f"{describe(self.algorithms)} {self.mode}{group}"


def read_ike_offer(transform: Transform) -> IkeOffer | None:
    """Return what a phase-1 transform means, or None if we do not know all of it.

    Raises NotifyError where one attribute has two values.
    """
    if transform.id != KEY_IKE:
        return None
    read = _read_attributes(
        transform.attributes, IkeAttribute.LIFE_TYPE, IkeAttribute.LIFE_DURATION
    )
    if read is None:
        return None
    numbers, lifetimes = read
    suite = IkeSuite(
        EncryptionAlgorithm(numbers.pop(IkeAttribute.ENCRYPTION_ALGORITHM, 0)),
        numbers.pop(IkeAttribute.KEY_LENGTH, 0),
        HashAlgorithm(numbers.pop(IkeAttribute.HASH_ALGORITHM, 0)),
        GroupDescription(numbers.pop(IkeAttribute.GROUP_DESCRIPTION, 0)),
    )
    method = AuthenticationMethod(numbers.pop(IkeAttribute.AUTHENTICATION_METHOD, 0))
    if numbers:
        return None
    return IkeOffer(
        suite, method, lifetimes.get(LifeType.SECONDS), lifetimes.get(LifeType.KILOBYTES)
    )


def read_esp_offer(transform: Transform) -> EspOffer | None:
    """Return what an ESP transform means, or None if we do not know all of it.

    Raises NotifyError where one attribute has two values.
    """
    read = _read_attributes(
        transform.attributes, IpsecAttribute.SA_LIFE_TYPE, IpsecAttribute.SA_LIFE_DURATION
    )
    if read is None:
        return None
    numbers, lifetimes = read
    authentication = numbers.pop(IpsecAttribute.AUTHENTICATION_ALGORITHM, None)
    algorithms = EspAlgorithms(
        EspTransform(transform.id),
        numbers.pop(IpsecAttribute.KEY_LENGTH, 0),
        None if authentication is None else AuthenticationAlgorithm(authentication),
    )
    mode = EncapsulationMode(numbers.pop(IpsecAttribute.ENCAPSULATION_MODE, 0))
    group = numbers.pop(IpsecAttribute.GROUP_DESCRIPTION, None)
    if numbers:
        return None
    return EspOffer(
        algorithms,
        mode,
        None if group is None else GroupDescription(group),
        lifetimes.get(LifeType.SECONDS),
        lifetimes.get(LifeType.KILOBYTES),
    )


def read_lifetimes(
    attributes: Sequence[Attribute], life_type: int, life_duration: int
) -> dict[int, int]:
    """Return lifetimes by life type. Raises NotifyError where one of them has two values."""
    read = _read_attributes(attributes, life_type, life_duration)
    return {} if read is None else read[1]


def ike_transform(
    number: int,
    suite: IkeSuite,
    seconds: int,
    method: AuthenticationMethod = AuthenticationMethod.PRE_SHARED_KEY,
) -> Transform:
    """Return the phase-1 transform that offers `suite` with this method of authentication."""
    attributes = [Attribute.short(IkeAttribute.ENCRYPTION_ALGORITHM, suite.cipher)]
    if suite.key_bits:
        attributes.append(Attribute.short(IkeAttribute.KEY_LENGTH, suite.key_bits))
    attributes += [
        Attribute.short(IkeAttribute.HASH_ALGORITHM, suite.hash),
        Attribute.short(IkeAttribute.GROUP_DESCRIPTION, suite.group),
        Attribute.short(IkeAttribute.AUTHENTICATION_METHOD, method),
        Attribute.short(IkeAttribute.LIFE_TYPE, LifeType.SECONDS),
        Attribute.long(IkeAttribute.LIFE_DURATION, seconds),
    ]
    return Transform(number, KEY_IKE, tuple(attributes))


def esp_transform(number: int, offer: EspOffer) -> Transform:
    """Return the phase-2 transform that says `offer`."""
    attributes = []
    for kind, amount in (
        (LifeType.SECONDS, offer.seconds),
        (LifeType.KILOBYTES, offer.kilobytes),
    ):
        if amount is not None:
            attributes.append(Attribute.short(IpsecAttribute.SA_LIFE_TYPE, kind))
            attributes.append(Attribute.long(IpsecAttribute.SA_LIFE_DURATION, amount))
    attributes.append(Attribute.short(IpsecAttribute.ENCAPSULATION_MODE, offer.mode))
    if offer.group is not None:
        attributes.append(Attribute.short(IpsecAttribute.GROUP_DESCRIPTION, offer.group))
    if offer.algorithms.key_bits:
        attributes.append(Attribute.short(IpsecAttribute.KEY_LENGTH, offer.algorithms.key_bits))
    if offer.algorithms.authentication is not None:
        authentication = offer.algorithms.authentication
        attributes.append(Attribute.short(IpsecAttribute.AUTHENTICATION_ALGORITHM, authentication))
    return Transform(number, offer.algorithms.transform, tuple(attributes))


def describe(algorithms: EspAlgorithms) -> str:
    """Return a name for the log."""
    key = f"-{algorithms.key_bits}" if algorithms.key_bits else ""
    authentication = algorithms.authentication
    return f"{algorithms.transform}{key}" + (f"/{authentication}" if authentication else "")


def _read_attributes(
    attributes: Sequence[Attribute], life_type: int, life_duration: int
) -> tuple[dict[int, int], dict[int, int]] | None:
    """Return numbers by attribute class and lifetimes by life type.

    A life duration belongs to the life type before it (RFC 2407 section 4.5); an attribute may
    be repeated, but not with another value (section 4.5.3). Returns None for what cannot be
    understood.
    """
    numbers: dict[int, int] = {}
    lifetimes: dict[int, int] = {}
    unit: int | None = None
    for attribute in attributes:
        try:
            number = attribute.number
        except DecodeError:
            return None
        if attribute.type == life_type:
            unit = number
            continue
        if attribute.type == life_duration:
            if unit is None:
                return None
            table, key = lifetimes, unit
        else:
            table, key = numbers, attribute.type
        if table.setdefault(key, number) != number:
            why = f"attribute {attribute.type} has the values {table[key]} and {number}"
            raise NotifyError(NotifyType.ATTRIBUTES_NOT_SUPPORTED, why)
    return numbers, lifetimes
