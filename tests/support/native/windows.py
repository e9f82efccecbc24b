"""Windows; profile.py says what the tags mean."""

from typing import Final

from ipsec.constants import AuthenticationAlgorithm as Auth
from ipsec.constants import EncapsulationMode
from ipsec.proposals import SecurityAssociation
from tests.support import clients
from tests.support.l2tp import avp, u16, u32
from tests.support.native.profile import (
    Evidence,
    L2tp,
    Options,
    Phase1,
    Phase2,
    Ppp,
    Profile,
    Step,
)
from tests.support.native.tables import (
    ACFC,
    ADDRESS,
    CCP,
    DNS_1,
    DNS_2,
    IPV6CP,
    MRU,
    NBNS_1,
    NBNS_2,
    NUMBER,
    PFC,
    VERSION,
)
from tests.support.offers import (
    WINDOWS_ESP,
    esp_offer,
)


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
        listens_after=0.5,  # [L] that our first request is lost, [R] the time
        identifications=(version, b"MSRAS-0-WIN-LIIRCM8BRIK", bytes(range(200, 216))),
        before=before,
    )


# [L] of PPTP, which has the same PPP
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
        phase2=Phase2(windows_esp, kilobytes=200_000),  # [L] 3600 s, 250000 KB, [R] when it renews
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
    phase2=Phase2(xp_esp, kilobytes=200_000),
    l2tp=windows_l2tp(0x0500),
    ppp=windows_ppp(b"MSRASV5.10", WINDOWS_NCPS[1:]),
    hang_up=WINDOWS_HANG_UP,
)
