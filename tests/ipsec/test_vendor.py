"""Who a peer seems to be and what it can do."""

import pytest

from ipsec import vendor
from tests.support import clients
from tests.support.vectors import load


@pytest.mark.parametrize(
    ("vendor_ids", "client", "variant", "dpd"),
    [
        (clients.WINDOWS_10_VENDOR_IDS, "Windows 8 or newer", "RFC 3947", False),
        (
            clients.WINDOWS_XP_VENDOR_IDS,
            "Windows XP or Server 2003",
            "NAT-T draft 02 with newline",
            False,
        ),
        (clients.MACOS_VENDOR_IDS, "macOS or iOS", "RFC 3947", True),
        (clients.STRONGSWAN_VENDOR_IDS, "unknown software", "RFC 3947", True),
        (["1e2b516905991c7d7c96fcbfb587e46100000063"], "Windows (IKE version 99)", None, False),
        (["1e2b516905991c7d7c96fcbfb587e461"], "unknown software", None, False),
        (["4df37928e9fc4fd1b3262170d515c662"], "macOS or iOS", None, False),
        (["4485152d18b6bbcd0be8a8469579ddcc"], "unknown software", None, False),
        ([], "unknown software", None, False),
    ],
)
def test_reading(vendor_ids: list[str], client: str, variant: str | None, dpd: bool) -> None:
    extensions = vendor.read([bytes.fromhex(text) for text in vendor_ids])
    assert extensions.client == client
    assert (extensions.natt and extensions.natt.name) == variant
    assert extensions.dpd == dpd


def test_dead_peer_detection_is_named_as_in_the_rfc() -> None:
    assert vendor.DPD.hex() == load("ike_vendor_ids.json")["rfc3706_dpd"]


def test_we_offer_what_we_have() -> None:
    offered = vendor.offer()
    assert len(offered) == 6
    answered = [offered[0], vendor.DPD, vendor.FRAGMENTATION[0]]
    assert vendor.answer(vendor.read(offered)) == answered
