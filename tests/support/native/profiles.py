"""All native clients that are known; profile.py says what the tags mean."""

from collections.abc import Callable
from typing import Final

from ipsec.constants import AuthenticationAlgorithm as Auth
from ipsec.constants import EncapsulationMode
from ipsec.proposals import SecurityAssociation
from tests.support import clients
from tests.support.l2tp import avp, u16, u32
from tests.support.native.profile import (
    MAGIC,
    Contact,
    Evidence,
    L2tp,
    Options,
    Pace,
    Phase1,
    Phase2,
    Ppp,
    Profile,
    ServerIdentity,
    Step,
)
from tests.support.offers import (
    LIBRESWAN_ESP,
    LIBRESWAN_IKE,
    RACOON_ESP,
    STRONGSWAN_ESP,
    STRONGSWAN_IKE,
    WINDOWS_ESP,
    EspSuite,
    Layout,
    Suite,
    esp_offer,
    ike_offer,
)

IPV6CP, CCP, ACSCP, MPLSCP = 0x8057, 0x80FD, 0x8235, 0x8281
MRU, ACCM, NUMBER, PFC, ACFC = 1, 2, (5, MAGIC), (7, ""), (8, "")
ZERO: Final = "00000000"
ADDRESS, DNS_1, NBNS_1, DNS_2, NBNS_2 = ((kind, ZERO) for kind in (3, 129, 130, 131, 132))
VJ = (2, "002d0f01")

VERSION: Final = avp(2, b"\1\0")

Offer = Callable[[EncapsulationMode, bytes], SecurityAssociation]


def transforms(suites: list[EspSuite], order: str, seconds: int, group: int = 0) -> Offer:
    """Return an offer of phase 2 with one proposal."""
    layout = Layout(order, seconds)
    return lambda mode, spi: esp_offer(suites, layout, mode, spi, group=group)


# Windows


def windows_esp(mode: EncapsulationMode, spi: bytes) -> SecurityAssociation:
    """Three proposals without NAT, five with it: so it was in the logs [L], which are of two
    machines; whether NAT is the cause nobody knows [R].
    """
    count = 3 if mode is EncapsulationMode.TRANSPORT else 5
    return esp_offer(clients.WINDOWS_ESP_SUITES[:count], WINDOWS_ESP, mode, spi, apart=True)


def xp_esp(mode: EncapsulationMode, spi: bytes) -> SecurityAssociation:
    suites = clients.racoon_suites(
        (clients.ESP_3DES, clients.ESP_DES), (Auth.HMAC_SHA1, Auth.HMAC_MD5)
    )
    return esp_offer(suites, WINDOWS_ESP, mode, spi, apart=True)


def windows_l2tp(firmware: int) -> L2tp:
    """SCCRQ [L] [C]; ICRQ, ICCN and the order in which they go [R]; a fixed port [L]."""
    return L2tp(
        sccrq=lambda tunnel, host: [
            VERSION,
            avp(3, u32(1)),
            avp(4, u32(0)),
            avp(6, u16(firmware), mandatory=False),
            avp(7, host),
            avp(8, b"Microsoft", mandatory=False),
            avp(9, u16(tunnel)),
            avp(10, u16(8)),
        ],
        icrq=lambda session: [
            avp(14, u16(session)),
            avp(15, u32(0)),
            avp(18, u32(2)),
            avp(1, bytes(16), vendor=311, mandatory=False),  # [D] MS-L2TPIE
        ],
        iccn=[avp(24, u32(100_000_000)), avp(19, u32(1)), avp(29, u16(4), mandatory=False)],
        port=1701,
        first_id=1,
        resend=2.0,
    )


def windows_ppp(version: bytes, before: tuple[tuple[int, Options], ...]) -> Ppp:
    """[L] but for the multilink options, which not every Windows sends [L]."""
    return Ppp(
        lcp=((MRU, "0578"), NUMBER, PFC, ACFC, (13, "06"), (17, "064e"), (19, "011d161f22")),
        ipcp=(ADDRESS, DNS_1, NBNS_1, DNS_2, NBNS_2),
        first_id=0,
        shared_ids=True,
        listens_after=0.5,
        identifications=(version, b"MSRAS-0-WIN-LIIRCM8BRIK", bytes(range(200, 216))),
        before=before,
    )


WINDOWS_NCPS: Final[tuple[tuple[int, Options], ...]] = (
    (IPV6CP, ((1, "30665a7e8623e95b"),)),
    (CCP, ((18, "01000001"),)),
)
WINDOWS_HANG_UP: Final = (Step.TERMINATE, Step.PAUSE, Step.DELETE_ESP, Step.DELETE_ISAKMP)
"""[L]: no CDN and no StopCCN is in the log, nor does it say that there was none."""


def windows(name: str, evidence: Evidence, vendor_ids: list[str], firmware: int) -> Profile:
    return Profile(
        name=name,
        evidence=evidence,
        phase1=Phase1(
            offer=clients.windows_offer(),
            vendor_ids=vendor_ids,
            nonce=48,  # [L]
            resend=(1.0, 2.0, 4.0, 8.0, 16.0),  # [R]
            counts_ids=True,  # [L]
        ),
        phase2=Phase2(windows_esp, renewal=3300.0),  # [L] 3600 s, [R] when it renews
        l2tp=windows_l2tp(firmware),
        ppp=windows_ppp(b"MSRASV5.20", WINDOWS_NCPS),
        hang_up=WINDOWS_HANG_UP,
    )


WINDOWS_10: Final = windows(
    "Windows 10 and 11", ("LCR", "LCR", "LCR", "L"), clients.WINDOWS_10_VENDOR_IDS, 0x0A00
)
WINDOWS_7: Final = windows(
    "Windows 7", ("LR", "R", "LR", "LR"), clients.WINDOWS_7_VENDOR_IDS, 0x0601
)
WINDOWS_XP: Final = Profile(
    name="Windows XP",
    evidence=("LR", "R", "R", "R"),
    phase1=Phase1(
        offer=clients.windows_offer(clients.WINDOWS_XP),
        vendor_ids=clients.WINDOWS_XP_VENDOR_IDS,
        nonce=20,  # [R]
        resend=(1.0, 2.0, 4.0, 8.0, 16.0),
    ),
    phase2=Phase2(xp_esp),
    l2tp=windows_l2tp(0x0500),
    ppp=windows_ppp(b"MSRASV5.10", WINDOWS_NCPS[1:]),
    hang_up=WINDOWS_HANG_UP,
)

# Apple


def apple(name: str, ike: SecurityAssociation, hmacs: tuple[Auth, ...], legacy: bool) -> Profile:
    suites = clients.racoon_suites(
        (clients.ESP_AES256, clients.ESP_AES128, clients.ESP_3DES), hmacs
    )
    return Profile(
        name=name,
        evidence=("SC", "SL", "S", "S"),
        phase1=Phase1(
            offer=ike,
            vendor_ids=clients.MACOS_VENDOR_IDS,
            nonce=16,
            port=500,
            contact=Contact.MESSAGE_5,
            server=ServerIdentity.ADDRESS,
            renewal=2880.0,  # 80 % of its lifetime, or 90 % by its cookie
        ),
        phase2=Phase2(
            transforms(suites, RACOON_ESP, 3600),
            renewal=2880.0,  # [R] 80 %
        ),
        l2tp=L2tp(
            sccrq=lambda tunnel, host: [
                VERSION,
                avp(3, u32(3)),
                avp(7, host + b"\0"),
                avp(9, u16(tunnel)),
                avp(10, u16(4)),
            ],
            icrq=lambda session: [avp(14, u16(session)), avp(15, u32(1))],
            iccn=[avp(24, u32(1_000_000)), avp(19, u32(3))],
            pace=Pace.EAGER,
            hello_before=True,
            acknowledges_end=False,
            cdn_result=b"\3\0\0\0",  # in host byte order, as is the next
            stop_result=b"\6\0\0\0",
        ),
        ppp=Ppp(
            lcp=((ACCM, ZERO), NUMBER, PFC, ACFC),
            ipcp=(ADDRESS, DNS_1, DNS_2),
            after=((ACSCP, ((1, ZERO),)),),  # [R] the data
        ),
        hang_up=(Step.TERMINATE, Step.CDN, Step.STOPCCN, Step.DELETE_ESP, Step.DELETE_ISAKMP),
        legacy=legacy,
    )


MACOS_OLD: Final = apple(
    "macOS up to 10.11, iOS up to 9",
    clients.racoon_offer(clients.MACOS_OLD),
    (Auth.HMAC_SHA1, Auth.HMAC_MD5),
    legacy=True,
)
MACOS_10_12: Final = apple(
    "macOS 10.12 to 10.15, iOS 10 to 13",
    clients.racoon_offer(clients.MACOS),
    (Auth.HMAC_SHA1, Auth.HMAC_MD5),
    legacy=False,
)
MACOS: Final = apple(
    "macOS from 11, iOS from 14",
    clients.racoon_offer(clients.MACOS),
    (Auth.HMAC_SHA2_256, Auth.HMAC_SHA1, Auth.HMAC_MD5),
    legacy=False,
)

# Android


def android(name: str, suites: list[Suite], hmacs: tuple[Auth, ...], mru: str) -> Profile:
    ciphers = (clients.ESP_AES256, clients.ESP_AES128, clients.ESP_3DES, clients.ESP_DES)
    return Profile(
        name=name,
        evidence=("SR", "S", "SR", "S"),
        phase1=Phase1(
            offer=clients.racoon_offer(suites, 28800),
            vendor_ids=clients.ANDROID_VENDOR_IDS,
            nonce=16,  # [R]
            port=500,  # [R]
            contact=Contact.APART,
            server=ServerIdentity.ADDRESS,  # [R] for this racoon
            resend=(3.0,) * 10,
        ),
        phase2=Phase2(transforms(clients.racoon_suites(ciphers, hmacs), RACOON_ESP, 28800), port=0),
        l2tp=L2tp(
            sccrq=lambda tunnel, _: [
                VERSION,
                avp(7, b"anonymous"),
                avp(3, u32(3)),
                avp(9, u16(tunnel)),
                avp(10, u16(1)),
            ],
            icrq=lambda session: [avp(14, u16(session)), avp(15, u32(0xABCDEF01))],
            iccn=[avp(24, u32(100_000_000)), avp(19, u32(3))],
            pace=Pace.ZLB,
            resend=2.0,
            acknowledges_end=False,  # [R]
            stop_result=b"\0\6",
        ),
        ppp=Ppp(
            lcp=((MRU, mru), (ACCM, ZERO), NUMBER, PFC, ACFC),
            ipcp=(VJ, ADDRESS, DNS_1, DNS_2),
            listens_after=0.1,  # [R]
            before=((CCP, ((26, "7800"), (24, "7800"), (21, "2f"))),),
            idle=1800.0,
        ),
        hang_up=(Step.TERMINATE, Step.STOPCCN),  # [R] racoon is killed and says nothing
        legacy=True,
    )


ANDROID_7: Final = android(
    "Android 4.4 to 7",
    clients.ANDROID_7,
    (Auth.HMAC_SHA2_256, Auth.HMAC_SHA1, Auth.HMAC_MD5),
    mru="0578",
)
ANDROID_10: Final = android(
    "Android 8 to 11",
    clients.ANDROID,
    (
        Auth.HMAC_SHA2_512,
        Auth.HMAC_SHA2_384,
        Auth.HMAC_SHA1,
        Auth.HMAC_SHA2_256,
        Auth.HMAC_MD5,
    ),
    mru="04f6",
)

# Linux


def xl2tpd(window: int) -> L2tp:
    """[L]: recorded, and the hex of another's SCCRQ."""
    return L2tp(
        sccrq=lambda tunnel, host: [
            VERSION,
            avp(3, u32(3)),
            avp(4, u32(0)),
            avp(6, u16(0x0690), mandatory=False),
            avp(7, host),
            avp(8, b"xelerance.com", mandatory=False),
            avp(9, u16(tunnel)),
            avp(10, u16(window)),
        ],
        icrq=lambda session: [avp(14, u16(session)), avp(15, u32(1)), avp(18, u32(0))],
        iccn=[avp(24, u32(0)), avp(19, u32(1)), avp(38, u32(0), mandatory=False)],
        port=1701,
        data_length=False,
        cdn_result=b"\0\3\0\0",  # [R]
        stop_result=b"\0\1\0\0Goodbye!",  # [R] the text
    )


def pppd(mru: str, echo: float | None) -> Ppp:
    """[L]: recorded with pppd 2.4.9; it hears nothing before it has started."""
    return Ppp(
        lcp=((MRU, mru), (ACCM, ZERO), NUMBER),
        ipcp=(ADDRESS, DNS_1, DNS_2),
        listens_after=0.37,
        after=((IPV6CP, ((1, "e9c24e04d44a4407"),)),),
        echo=echo,
        goodbye=b"User request",
    )


LINUX_HANG_UP: Final = (
    Step.TERMINATE,
    Step.CDN,
    Step.STOPCCN,
    Step.DELETE_ESP,
    Step.DELETE_ISAKMP,
)
AES_AES_3DES: Final = clients.WINDOWS_ESP_SUITES[:3]

CHROMEOS: Final = Profile(
    name="ChromeOS",
    evidence=("SL", "SL", "SL", "SL"),
    phase1=Phase1(
        offer=ike_offer(clients.CHROMEOS, Layout(STRONGSWAN_IKE, 11880)),
        vendor_ids=clients.STRONGSWAN_VENDOR_IDS,
        nonce=32,
        resend=(4.0, 7.2, 13.0, 23.3, 42.0),
    ),
    phase2=Phase2(
        transforms(
            [
                (clients.ESP_GCM128, None),
                (clients.ESP_AES128, Auth.HMAC_SHA2_256),
                (clients.ESP_AES128, Auth.HMAC_SHA1),
                (clients.ESP_3DES, Auth.HMAC_SHA1),
                (clients.ESP_3DES, Auth.HMAC_MD5),
            ],
            STRONGSWAN_ESP,
            3960,
        ),
        renewal=3000.0,  # [R]
    ),
    l2tp=xl2tpd(window=4),
    ppp=pppd("0582", echo=30.0),
    hang_up=LINUX_HANG_UP,
)
STRONGSWAN: Final = Profile(
    name="NetworkManager with strongSwan",
    evidence=("SL", "SL", "SL", "SL"),
    phase1=Phase1(
        offer=ike_offer(clients.NETWORK_MANAGER, Layout(STRONGSWAN_IKE, 11880)),
        vendor_ids=clients.STRONGSWAN_VENDOR_IDS,
        nonce=32,
        resend=(4.0, 7.2, 13.0, 23.3, 42.0),
    ),
    phase2=Phase2(transforms(AES_AES_3DES, STRONGSWAN_ESP, 3960), renewal=3000.0),  # [R]
    l2tp=xl2tpd(window=8),
    ppp=pppd("0578", echo=None),
    hang_up=LINUX_HANG_UP,
)
LIBRESWAN: Final = Profile(
    name="NetworkManager with libreswan",
    evidence=("SR", "SR", "SL", "SL"),
    phase1=Phase1(
        offer=ike_offer(
            [suite for suite in clients.NETWORK_MANAGER if suite[2] != 2],
            Layout(LIBRESWAN_IKE, 28800),
        ),
        vendor_ids=clients.LIBRESWAN_VENDOR_IDS,
        nonce=32,  # [R]
        server=ServerIdentity.DIALLED,  # [L] seen with libreswan 4.10
        resend=(0.5, 1.0, 2.0, 4.0, 8.0, 16.0),  # [R]
    ),
    phase2=Phase2(transforms(AES_AES_3DES, LIBRESWAN_ESP, 28800)),
    l2tp=xl2tpd(window=8),
    ppp=pppd("0578", echo=None),
    hang_up=LINUX_HANG_UP,
)

# Routers


def mikrotik_phase2(group: int) -> Phase2:
    """[L] suites, half an hour and group 2, in an export of the defaults; [R] all else."""
    ciphers = (clients.ESP_AES256, clients.ESP_AES192, clients.ESP_AES128)
    suites = clients.racoon_suites(ciphers, (Auth.HMAC_SHA1,))
    return Phase2(transforms(suites, RACOON_ESP, 1800, group), pfs_group=group, renewal=1440.0)


MIKROTIK: Final = Profile(
    name="MikroTik RouterOS",
    evidence=("R", "LR", "LR", "R"),
    phase1=Phase1(
        offer=clients.racoon_offer(clients.MIKROTIK, 28800),
        vendor_ids=clients.MIKROTIK_VENDOR_IDS,
        nonce=24,
        port=500,
        contact=Contact.APART,
    ),
    phase2=mikrotik_phase2(group=2),
    l2tp=L2tp(
        sccrq=lambda tunnel, host: [
            VERSION,
            avp(3, u32(1)),
            avp(4, u32(0)),
            avp(6, u16(1), mandatory=False),
            avp(7, host),
            avp(8, b"MikroTik", mandatory=False),
            avp(9, u16(tunnel)),
            avp(10, u16(4)),
        ],
        icrq=lambda session: [avp(14, u16(session)), avp(15, u32(1))],
        iccn=[avp(24, u32(100_000_000)), avp(19, u32(1))],
        port=1701,
        cdn_result=b"\0\1",  # [L] without an error code
        stop_result=b"\0\1",
    ),
    ppp=Ppp(
        lcp=((MRU, "05aa"), NUMBER),
        ipcp=(ADDRESS, DNS_1, DNS_2),
        before=((CCP, ((18, "01000040"),)), (MPLSCP, ())),
    ),
    hang_up=LINUX_HANG_UP,
    legacy=True,
)

PROFILES: Final = (
    WINDOWS_10,
    WINDOWS_7,
    WINDOWS_XP,
    MACOS,
    MACOS_10_12,
    MACOS_OLD,
    ANDROID_10,
    ANDROID_7,
    CHROMEOS,
    STRONGSWAN,
    LIBRESWAN,
    MIKROTIK,
)
