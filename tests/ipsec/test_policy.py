"""Which offer is taken, for every client that is known by its offers."""

import pytest

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import AuthenticationAlgorithm as Auth
from ipsec.constants import (
    EncapsulationMode,
    EspTransform,
    GroupDescription,
    IkeAttribute,
    IpsecAttribute,
    NotifyType,
    ProtocolId,
)
from ipsec.errors import NotifyError
from ipsec.offers import EspOffer, esp_transform
from ipsec.policy import DEFAULT, LAB, LEGACY, POLICIES, STRICT, Policy, choose_esp, choose_ike
from ipsec.proposals import Attribute, Proposal, SecurityAssociation, Transform
from tests.support import clients
from tests.support.clients import racoon_offer, windows_offer
from tests.support.offers import offer

NATIVE = (EncapsulationMode.TRANSPORT,)
NAT = (EncapsulationMode.UDP_TRANSPORT, EncapsulationMode.TRANSPORT)
GCM_128 = EspAlgorithms(EspTransform.AES_GCM_16, 128)
AES_SHA1 = EspAlgorithms(EspTransform.AES_CBC, 256, Auth.HMAC_SHA1)
TRIPLE_DES_MD5 = EspAlgorithms(EspTransform.TRIPLE_DES, 0, Auth.HMAC_MD5)


@pytest.mark.parametrize(
    ("message", "size"),
    [
        (clients.first_message(windows_offer(), clients.WINDOWS_10_VENDOR_IDS), 408),
        (clients.first_message(racoon_offer(), clients.MACOS_VENDOR_IDS), 788),
        (
            clients.first_message(racoon_offer(clients.MACOS_OLD), clients.MACOS_VENDOR_IDS),
            500,
        ),
    ],
    ids=["Windows 10", "macOS", "macOS before 10.12"],
)
def test_first_messages_have_the_sizes_that_were_logged(message: bytes, size: int) -> None:
    assert len(message) == size


@pytest.mark.parametrize(
    ("sa", "policy", "number", "suite"),
    [
        (windows_offer(), DEFAULT, 1, "AES_CBC-256/SHA1/ECP_384"),
        (windows_offer(clients.WINDOWS_10[1:]), DEFAULT, 1, "AES_CBC-128/SHA1/ECP_256"),
        (windows_offer(clients.WINDOWS_10[2:]), DEFAULT, 1, "AES_CBC-256/SHA1/MODP_2048"),
        (windows_offer(clients.WINDOWS_10[3:]), DEFAULT, 1, "TRIPLE_DES_CBC/SHA1/MODP_2048"),
        (windows_offer(clients.WINDOWS_10[4:]), LEGACY, 1, "TRIPLE_DES_CBC/SHA1/MODP_1024"),
        (windows_offer(clients.WINDOWS_XP), DEFAULT, 1, "TRIPLE_DES_CBC/SHA1/MODP_2048"),
        (racoon_offer(), STRICT, 1, "AES_CBC-256/SHA2_256/MODP_2048"),
        (racoon_offer(), DEFAULT, 1, "AES_CBC-256/SHA2_256/MODP_2048"),
        (racoon_offer(clients.MACOS_OLD), LEGACY, 1, "AES_CBC-256/SHA1/MODP_1024"),
        (racoon_offer(clients.ANDROID), LEGACY, 2, "AES_CBC-256/SHA2_256/MODP_1024"),
        (windows_offer(clients.CHROMEOS), DEFAULT, 2, "AES_CBC-128/SHA1/MODP_2048"),
        (windows_offer(clients.NETWORK_MANAGER), DEFAULT, 7, "AES_CBC-256/SHA1/ECP_384"),
    ],
)
def test_choice_of_phase_1(
    sa: SecurityAssociation, policy: Policy, number: int, suite: str
) -> None:
    choice = choose_ike(sa, policy)
    assert str(choice.offer.suite) == suite
    assert choice.transform.number == number
    (proposal,) = choice.answer().proposals
    assert proposal.transforms == (sa.proposals[0].transforms[number - 1],)
    assert proposal.transforms[0].build() == sa.proposals[0].transforms[number - 1].build()


@pytest.mark.parametrize(
    ("sa", "policy", "hint"),
    [
        (racoon_offer(clients.ANDROID), DEFAULT, "the proposals 'legacy' would accept this client"),
        (windows_offer(), STRICT, "the proposals 'default' would accept this client"),
        (
            windows_offer([(clients.DES, clients.MD5, 1)]),
            LEGACY,
            "the client must offer one of: AES_CBC-256/SHA2_256/ECP_384",
        ),
    ],
)
def test_refusal_of_phase_1_lists_the_offers(
    sa: SecurityAssociation, policy: Policy, hint: str
) -> None:
    with pytest.raises(NotifyError) as refusal:
        choose_ike(sa, policy)
    assert refusal.value.code == NotifyType.NO_PROPOSAL_CHOSEN
    assert refusal.value.hint.startswith(hint)
    assert f"proposals {policy.name!r}" in refusal.value.why
    first = sa.proposals[0].transforms[0].attributes
    assert len(first) >= 6
    assert "MODP" in refusal.value.why


def test_refusal_of_certificates_says_so() -> None:
    sa = windows_offer()
    certificates = tuple(
        Transform(
            transform.number,
            transform.id,
            tuple(
                Attribute.short(IkeAttribute.AUTHENTICATION_METHOD, 3)
                if attribute.type == IkeAttribute.AUTHENTICATION_METHOD
                else attribute
                for attribute in transform.attributes
            ),
        )
        for transform in sa.proposals[0].transforms
    )
    with pytest.raises(NotifyError) as refusal:
        choose_ike(offer(certificates), LEGACY)
    assert refusal.value.hint == (
        "choose a pre-shared key on the client, or set ipsec.certificate on the server"
    )
    assert "RSA_SIGNATURES" in refusal.value.why


def test_long_lists_are_cut_in_the_log() -> None:
    sa = windows_offer([(clients.DES, clients.MD5, 1)] * 200)
    with pytest.raises(NotifyError) as refusal:
        choose_ike(sa, DEFAULT)
    assert refusal.value.why.endswith(" and 180 more")
    assert len(refusal.value.why) < 2000


@pytest.mark.parametrize(("count", "nat_oa", "size"), [(3, 0, 316), (5, 2, 444)])
def test_choice_of_phase_2_for_windows(count: int, nat_oa: int, size: int) -> None:
    sa = clients.windows_quick_mode(EncapsulationMode.UDP_TRANSPORT, count=count)
    hash_1, nonce, identity = 24, 52, 12
    payloads = hash_1 + 4 + len(sa.build()) + nonce + (2 + nat_oa) * identity
    assert 28 + payloads + -payloads % 16 == size, "the size that servers logged"
    choice = choose_esp(sa, DEFAULT, NAT)
    assert choice.offer == EspOffer(AES_SHA1, EncapsulationMode.UDP_TRANSPORT, None, 3600, 250000)
    assert choice.spi == 0x11223344
    (proposal,) = choice.answer(0xAABBCCDD).proposals
    assert (proposal.number, proposal.spi.hex()) == (1, "aabbccdd")
    assert proposal.transforms == sa.proposals[0].transforms


@pytest.mark.parametrize(
    ("authentications", "number"),
    [
        ([Auth.HMAC_SHA2_256, Auth.HMAC_SHA1, Auth.HMAC_MD5], 1),
        ([Auth.HMAC_SHA1, Auth.HMAC_MD5], 1),
        ([Auth.HMAC_SHA2_512, Auth.HMAC_SHA2_384, Auth.HMAC_SHA1, Auth.HMAC_SHA2_256], 4),
        ([Auth.HMAC_SHA1, Auth.HMAC_SHA2_512], 2),
    ],
    ids=["macOS", "macOS before 11", "Android", "SHA-1 first"],
)
def test_sha2_before_sha_1_and_the_shortest_icv_first(
    authentications: list[Auth], number: int
) -> None:
    sa = clients.racoon_quick_mode(EncapsulationMode.TRANSPORT, authentications)
    choice = choose_esp(sa, DEFAULT, NATIVE)
    assert choice.transform.number == number
    assert choice.offer.algorithms.authentication == authentications[number - 1]
    assert choice.answer(300).proposals[0].transforms == (choice.transform,)


def esp_offer(
    algorithms: EspAlgorithms = AES_SHA1, mode: EncapsulationMode = EncapsulationMode.TRANSPORT
) -> Transform:
    return esp_transform(1, EspOffer(algorithms, mode, None, 3600, None))


def proposal(
    transform: Transform,
    number: int = 1,
    protocol: ProtocolId = ProtocolId.ESP,
    spi: bytes = b"\0\0\x10\0",
) -> Proposal:
    return Proposal(number, protocol, spi, (transform,))


def test_gcm_comes_first() -> None:
    sa = SecurityAssociation((proposal(esp_offer(), 1), proposal(esp_offer(GCM_128), 2)))
    assert choose_esp(sa, DEFAULT, NATIVE).proposal.number == 2


def test_mode_goes_before_algorithms() -> None:
    weak_but_encapsulated = esp_offer(TRIPLE_DES_MD5, EncapsulationMode.UDP_TRANSPORT)
    sa = SecurityAssociation((proposal(esp_offer(), 1), proposal(weak_but_encapsulated, 2)))
    assert choose_esp(sa, LEGACY, NAT).proposal.number == 2
    assert choose_esp(sa, LEGACY, NATIVE).proposal.number == 1


UNKNOWN = Attribute.short(IpsecAttribute.EXTENDED_SEQUENCE_NUMBER, 1)


@pytest.mark.parametrize(
    "proposals",
    [
        [proposal(esp_offer(EspAlgorithms(EspTransform.NULL, 0, Auth.HMAC_SHA1)))],
        [proposal(esp_offer(EspAlgorithms(EspTransform.DES, 0, Auth.HMAC_SHA1)))],
        [proposal(esp_offer(EspAlgorithms(EspTransform.AES_CBC, 256, None)))],
        [proposal(esp_offer(EspAlgorithms(EspTransform.AES_CBC, 0, Auth.HMAC_SHA1)))],
        [proposal(esp_offer(mode=EncapsulationMode.TUNNEL))],
        [proposal(esp_offer(mode=EncapsulationMode.UDP_TRANSPORT))],
        [proposal(esp_offer(), protocol=ProtocolId.AH)],
        [proposal(esp_offer()), proposal(esp_offer(), protocol=ProtocolId.AH)],
        [proposal(esp_offer(), spi=b"\0\0\0\0")],
        [proposal(esp_offer(), spi=b"\0\x10")],
        [proposal(Transform(1, EspTransform.AES_CBC, (*esp_offer().attributes, UNKNOWN)))],
        [Proposal(1, ProtocolId.ESP, b"\0\0\x10\0", ())],
    ],
    ids=[
        "NULL",
        "DES",
        "no integrity",
        "AES without key length",
        "tunnel",
        "UDP without NAT",
        "AH",
        "AH and ESP together",
        "SPI 0",
        "short SPI",
        "unknown attribute",
        "no transform",
    ],
)
def test_refusal_of_phase_2(proposals: list[Proposal]) -> None:
    with pytest.raises(NotifyError) as refusal:
        choose_esp(SecurityAssociation(tuple(proposals)), LEGACY, NATIVE)
    assert refusal.value.code == NotifyType.NO_PROPOSAL_CHOSEN


@pytest.mark.parametrize(
    ("transform", "hint"),
    [
        (esp_offer(mode=EncapsulationMode.TUNNEL), "encapsulation here must be TRANSPORT"),
        (esp_offer(TRIPLE_DES_MD5), "the proposals 'legacy' would accept this client"),
        (
            esp_offer(EspAlgorithms(EspTransform.DES, 0, Auth.HMAC_MD5)),
            "the client must offer one of: AES_GCM_16-256, AES_GCM_16-192, AES_GCM_16-128, ",
        ),
        (
            esp_transform(1, EspOffer(AES_SHA1, NATIVE[0], GroupDescription.MODP_1024, 3600, None)),
            "perfect forward secrecy must be off on the client, or use one of: ECP_256, ECP_384, ",
        ),
    ],
)
def test_refusal_of_phase_2_has_a_hint(transform: Transform, hint: str) -> None:
    with pytest.raises(NotifyError) as refusal:
        choose_esp(SecurityAssociation((proposal(transform),)), DEFAULT, NATIVE)
    assert refusal.value.hint.startswith(hint)


def test_groups_of_weak_policies_include_those_of_strong_ones() -> None:
    assert set(STRICT.ike) <= set(DEFAULT.ike) <= set(LEGACY.ike)
    assert set(STRICT.esp) <= set(DEFAULT.esp) <= set(LEGACY.esp)
    assert list(POLICIES) == ["strict", "default", "legacy"]
    assert all(algorithms.supported for algorithms in LAB.esp)


def test_des_and_null_are_for_the_lab_alone() -> None:
    weak = {EspTransform.DES, EspTransform.NULL}
    assert weak <= {algorithms.transform for algorithms in LAB.esp}
    assert not weak & {algorithms.transform for algorithms in LEGACY.esp}
