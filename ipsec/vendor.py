"""Vendor ids: what a peer can do, and who it seems to be (RFC 2408 section 3.16).

A vendor id is only ever a hint that something may be used. We repeat those of the extensions
that we have, and only to peers that sent them: what Windows does on seeing its own ids in an
answer is for Windows servers alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ipsec import natt

DPD: Final = bytes.fromhex("afcad71368a1f1c96b8696fc77570100")
"""RFC 3706 section 5.1, major version 1, minor version 0."""

_FRAGMENTATION: Final = bytes.fromhex("4048b7d56ebce88525e7de7f00d6c2d3")
FRAGMENTATION: Final = (
    _FRAGMENTATION + bytes.fromhex("80000000"),
    _FRAGMENTATION + bytes.fromhex("c0000000"),
    _FRAGMENTATION,
)
"""The MD5 hash of this word: with the flag for Main Mode, as racoon and strongSwan send it; with
that for Base Mode too (Cisco); without any (Windows)."""

_MICROSOFT: Final = bytes.fromhex("1e2b516905991c7d7c96fcbfb587e461")
_WINDOWS_VERSIONS: Final = {
    2: "Windows 2000",
    3: "Windows XP",
    4: "Windows XP or Server 2003",
    5: "Windows Vista",
    6: "Windows Server 2008",
    7: "Windows 7",
    8: "Windows 7 or Server 2008 R2",
    9: "Windows 8 or newer",
}

_SOFTWARE: Final = {
    bytes.fromhex("4df37928e9fc4fd1b3262170d515c662"): "macOS or iOS",
    bytes.fromhex("7003cbc1097dbe9c2600ba6983bc8b35"): "racoon",
    bytes.fromhex("882fe56d6fd20dbc2251613b2ebe5beb"): "strongSwan",
    bytes.fromhex("12f5f28c457168a9702d9fe274cc0100"): "Cisco Unity",
}


@dataclass(frozen=True, slots=True)
class Extensions:
    """What a peer's vendor ids say; `natt` is the best variant that both sides have.

    `fragmentation` is the vendor id by which the peer says that it reassembles, or None.
    """

    natt: natt.Variant | None
    dpd: bool
    fragmentation: bytes | None
    client: str


def read(vendor_ids: Sequence[bytes]) -> Extensions:
    """Return what the vendor ids of the first message in one direction say."""
    return Extensions(
        natt.choose_variant(vendor_ids),
        DPD in vendor_ids,
        next((form for form in FRAGMENTATION if form in vendor_ids), None),
        _name(vendor_ids),
    )


def offer() -> list[bytes]:
    """Return the vendor ids that an initiator sends in its first message."""
    return [*(variant.vendor_id for variant in natt.VARIANTS), DPD, FRAGMENTATION[0]]


def answer(peer: Extensions) -> list[bytes]:
    """Return the vendor ids that a responder sends: what the initiator offered and we have."""
    return [
        *([peer.natt.vendor_id] if peer.natt else []),
        *([DPD] if peer.dpd else []),
        *([peer.fragmentation] if peer.fragmentation else []),
    ]


def _name(vendor_ids: Sequence[bytes]) -> str:
    for vendor_id in vendor_ids:
        if vendor_id in _SOFTWARE:
            return _SOFTWARE[vendor_id]
        if vendor_id[:-4] == _MICROSOFT:
            version = int.from_bytes(vendor_id[-4:], "big")
            return _WINDOWS_VERSIONS.get(version, f"Windows (IKE version {version})")
    return "unknown software"
