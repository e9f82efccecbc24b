"""Clients whose IKE is racoon: Apple's, and Android up to 11; profile.py explains the tags."""

from dataclasses import replace
from typing import Final

from ipsec.constants import AuthenticationAlgorithm as Auth
from ipsec.constants import IdType
from ipsec.proposals import SecurityAssociation
from tests.support import clients
from tests.support.l2tp import avp, u16, u32
from tests.support.native.profile import (
    Contact,
    L2tp,
    Pace,
    Phase1,
    Phase2,
    Ppp,
    Profile,
    ServerIdentity,
    Step,
)
from tests.support.native.tables import (
    ACCM,
    ACFC,
    ACSCP,
    ADDRESS,
    CCP,
    DNS_1,
    DNS_2,
    MRU,
    NUMBER,
    PFC,
    VERSION,
    VJ,
    ZERO,
    transforms,
)
from tests.support.offers import (
    RACOON_ESP,
    Suite,
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
            late=3240.0,
            lifetime=3600.0,
            tries_on_4500=3,
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
        # [S] up to StopCCN, [R] the deletes
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

# With a group name only what has group 14 is offered, and FRAGMENTATION is the first vendor id; if
# that fails all is tried again with group 2 [S]. [R] INITIAL-CONTACT.
MACOS_GROUP: Final = replace(
    MACOS,
    name="macOS from 11, iOS from 14, with a group name",
    evidence=("SR", "SL", "S", "S"),
    phase1=replace(
        MACOS.phase1,
        offer=clients.racoon_offer(clients.MACOS[:4]),
        vendor_ids=[
            clients.MACOS_VENDOR_IDS[-2],
            *clients.MACOS_VENDOR_IDS[:-2],
            clients.MACOS_VENDOR_IDS[-1],
        ],
        contact=Contact.APART,
        group=(IdType.KEY_ID, b"branch"),
    ),
)

# Android


def android(name: str, suites: list[Suite], hmacs: tuple[Auth, ...], mru: str) -> Profile:
    ciphers = (clients.ESP_AES256, clients.ESP_AES128, clients.ESP_3DES, clients.ESP_DES)
    return Profile(
        name=name,
        evidence=("SR", "S", "S", "S"),
        phase1=Phase1(
            offer=clients.racoon_offer(suites, 28800),
            vendor_ids=clients.ANDROID_VENDOR_IDS,
            nonce=16,  # [R]
            port=500,  # [R]
            contact=Contact.APART,
            server=ServerIdentity.ADDRESS,  # [R] for this racoon
            resend=(3.0,) * 10,
            vital=True,
        ),
        phase2=Phase2(
            transforms(clients.racoon_suites(ciphers, hmacs), RACOON_ESP, 28800),
            port=0,
            renewal=23040.0,  # [R] 80 %
            lifetime=28800.0,
            draft_icv=True,  # [R] of the kernel
        ),
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
            acknowledges_end=False,
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
# The identifier is a KEY_ID, with a dot a FQDN, and a USER_FQDN with an @ before it [S].
ANDROID_GROUP: Final = replace(
    ANDROID_10,
    name="Android 8 to 11, with an IPSec identifier",
    phase1=replace(ANDROID_10.phase1, group=(IdType.FQDN, b"branch.example.com")),
)
