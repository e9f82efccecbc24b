"""Clients of Linux: ChromeOS and NetworkManager; and MikroTik's. See profile.py for the tags."""

from collections.abc import Sequence
from typing import Final

from ipsec.constants import AuthenticationAlgorithm as Auth
from tests.support import clients
from tests.support.l2tp import avp, u16, u32
from tests.support.native.profile import (
    Contact,
    L2tp,
    Phase1,
    Phase2,
    Ppp,
    Profile,
    ServerIdentity,
    Step,
)
from tests.support.native.tables import (
    ACCM,
    ADDRESS,
    CCP,
    DNS_1,
    DNS_2,
    IPV6CP,
    MPLSCP,
    MRU,
    NUMBER,
    VERSION,
    ZERO,
    transforms,
)
from tests.support.offers import (
    LIBRESWAN_ESP,
    LIBRESWAN_IKE,
    RACOON_ESP,
    RACOON_IKE,
    STRONGSWAN_ESP,
    STRONGSWAN_IKE,
    Layout,
    Suite,
    ike_offer,
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


def strongswan(suites: Sequence[Suite]) -> Phase1:
    """Main Mode of strongSwan, as NetworkManager-l2tp and ChromeOS configure it."""
    return Phase1(
        offer=ike_offer(suites, Layout(STRONGSWAN_IKE, 11880)),
        vendor_ids=clients.STRONGSWAN_VENDOR_IDS,
        nonce=32,
        resend=(4.0, 7.2, 13.0, 23.3, 42.0),
        renewal=10260.0,  # [R] as is the spread: margin and fuzz of its defaults
        spread=540.0,
        lifetime=11880.0,
    )


# [R] that the call is ended before the tunnel; recorded was a StopCCN alone
LINUX_HANG_UP: Final = (
    Step.TERMINATE,
    Step.CDN,
    Step.STOPCCN,
    Step.DELETE_ESP,
    Step.DELETE_ISAKMP,
)
AES_AES_3DES: Final = clients.WINDOWS_ESP_SUITES[:3]

# [R] that its xl2tpd and pppd do all else as Debian's do, and the layout of AES-GCM
CHROMEOS: Final = Profile(
    name="ChromeOS",
    evidence=("SL", "SL", "SL", "SL"),
    phase1=strongswan(clients.CHROMEOS),
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
        renewal=3060.0,  # [R] as is the spread
        spread=540.0,
        lifetime=3960.0,
    ),
    l2tp=xl2tpd(window=4),
    ppp=pppd("0582", echo=30.0),
    hang_up=LINUX_HANG_UP,
)
STRONGSWAN: Final = Profile(
    name="NetworkManager with strongSwan",
    evidence=("SL", "SL", "SL", "SL"),
    phase1=strongswan(clients.NETWORK_MANAGER),
    phase2=Phase2(
        transforms(AES_AES_3DES, STRONGSWAN_ESP, 3960),
        renewal=3060.0,  # [R] as is the spread
        spread=540.0,
        lifetime=3960.0,
    ),
    l2tp=xl2tpd(window=8),
    ppp=pppd("0578", echo=None),
    hang_up=LINUX_HANG_UP,
)
# [R] layouts and vendor ids
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
        renewal=28260.0,  # [R] as is the spread: its default margin and fuzz
        spread=540.0,
    ),
    phase2=Phase2(
        transforms(AES_AES_3DES, LIBRESWAN_ESP, 28800),
        renewal=28260.0,
        spread=540.0,
        lifetime=28800.0,
    ),
    l2tp=xl2tpd(window=8),
    ppp=pppd("0578", echo=None),
    hang_up=LINUX_HANG_UP,
)

# Routers


def mikrotik_phase2(group: int) -> Phase2:
    """[L] suites, half an hour and group 2, in an export of the defaults of RouterOS
    (https://pastebin.com/JzWYY9hG); [R] all else.
    """
    ciphers = (clients.ESP_AES256, clients.ESP_AES192, clients.ESP_AES128)
    suites = clients.racoon_suites(ciphers, (Auth.HMAC_SHA1,))
    return Phase2(
        transforms(suites, RACOON_ESP, 1800, group),
        pfs_group=group,
        renewal=1440.0,
        lifetime=1800.0,
    )


MIKROTIK: Final = Profile(
    name="MikroTik RouterOS",
    evidence=("R", "LR", "LR", "R"),
    phase1=Phase1(
        offer=ike_offer(clients.MIKROTIK, Layout(RACOON_IKE, 86400, long=True)),
        vendor_ids=clients.MIKROTIK_VENDOR_IDS,
        nonce=24,
        port=500,
        contact=Contact.APART,
        lifetime=86400.0,
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
