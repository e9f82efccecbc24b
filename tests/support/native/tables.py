"""What the profiles of all native clients are written with."""

from collections.abc import Callable
from typing import Final

from ipsec.constants import EncapsulationMode
from ipsec.proposals import SecurityAssociation
from tests.support.l2tp import avp
from tests.support.native.profile import MAGIC
from tests.support.offers import EspSuite, Layout, esp_offer

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
