"""What transforms mean, and what cannot be understood."""

import pytest

from ipsec.constants import (
    AuthenticationMethod,
    EncapsulationMode,
    EspTransform,
    IkeAttribute,
    IpsecAttribute,
    LifeType,
    NotifyType,
)
from ipsec.errors import NotifyError
from ipsec.offers import (
    EspOffer,
    esp_transform,
    ike_transform,
    read_esp_offer,
    read_ike_offer,
)
from ipsec.policy import LEGACY
from ipsec.proposals import Attribute, Transform
from tests.support.clients import MACOS, WINDOWS_10, racoon_transform, windows_transform

IKE = windows_transform(1, WINDOWS_10[0])
SECONDS = Attribute.short(IkeAttribute.LIFE_TYPE, LifeType.SECONDS)
KILOBYTES = Attribute.short(IkeAttribute.LIFE_TYPE, LifeType.KILOBYTES)


def with_attributes(*more: Attribute) -> Transform:
    return Transform(1, 1, (*IKE.attributes, *more))


def test_every_suite_is_offered_and_understood() -> None:
    for number, suite in enumerate(LEGACY.ike[:250]):
        offer = read_ike_offer(ike_transform(number, suite, 28800))
        assert offer is not None
        assert offer.suite == suite
        assert offer.method is AuthenticationMethod.PRE_SHARED_KEY
        assert (offer.seconds, offer.kilobytes) == (28800, None)


def test_both_encodings_mean_the_same() -> None:
    windows, racoon = read_ike_offer(IKE), read_ike_offer(racoon_transform(1, MACOS[1]))
    assert windows is not None
    assert racoon is not None
    assert (windows.seconds, racoon.seconds) == (28800, 3600)
    assert windows.suite.cipher == racoon.suite.cipher


def test_both_lifetimes() -> None:
    attributes = KILOBYTES, Attribute.short(IkeAttribute.LIFE_DURATION, 4608)
    offer = read_ike_offer(with_attributes(*attributes))
    assert offer is not None
    assert (offer.seconds, offer.kilobytes) == (28800, 4608)


def test_an_attribute_may_be_repeated() -> None:
    assert read_ike_offer(with_attributes(IKE.attributes[0])) == read_ike_offer(IKE)


@pytest.mark.parametrize(
    "attribute",
    [
        Attribute.short(IkeAttribute.HASH_ALGORITHM, 1),
        Attribute.long(IkeAttribute.LIFE_DURATION, 3600),
    ],
)
def test_an_attribute_has_one_value(attribute: Attribute) -> None:
    with pytest.raises(NotifyError) as refusal:
        read_ike_offer(with_attributes(attribute))
    assert refusal.value.code == NotifyType.ATTRIBUTES_NOT_SUPPORTED


@pytest.mark.parametrize(
    "transform",
    [
        Transform(1, 2, IKE.attributes),
        with_attributes(Attribute.short(IkeAttribute.PRF, 1)),
        with_attributes(Attribute(IkeAttribute.GROUP_PRIME, bytes(128), False)),
        with_attributes(Attribute.short(0x4000, 1)),
        Transform(1, 1, (Attribute.long(IkeAttribute.LIFE_DURATION, 3600),)),
    ],
    ids=["other transform id", "PRF", "own prime", "private", "duration of nothing"],
)
def test_what_is_not_understood(transform: Transform) -> None:
    assert read_ike_offer(transform) is None


def test_esp_with_a_number_that_is_none() -> None:
    transform = Transform(
        1, EspTransform.AES_CBC, (Attribute(IpsecAttribute.KEY_LENGTH, bytes(999), False),)
    )
    assert read_esp_offer(transform) is None


def test_offers_of_esp_have_names() -> None:
    names = set()
    for algorithms in LEGACY.esp:
        offer = EspOffer(algorithms, EncapsulationMode.TRANSPORT, None, 3600, 250000)
        assert read_esp_offer(esp_transform(1, offer)) == offer
        names.add(str(offer))
    assert len(names) == len(LEGACY.esp)
