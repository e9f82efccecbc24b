"""NAT traversal in the negotiation of IKE: RFC 3947 and those of its drafts that are in use.

Each end sends hashes of the addresses and ports that it sees (NAT-D). Where one of them is not
what the other end sees, there is a NAT on that side: the initiator moves to port 4500, ESP goes
into UDP, and Quick Mode carries the addresses before translation (NAT-OA).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest
from ipaddress import ip_address
from typing import Final

from ipsec.constants import NATT_PORT, EncapsulationMode, HashAlgorithm, PayloadType
from ipsec.crypto import digest
from ipsec.message import Cookies, Payload, Payloads
from ipsec.path import Address, Path
from ipsec.payloads import OriginalAddress
from wire import Reader


@dataclass(frozen=True, slots=True)
class Variant:
    """One edition of NAT traversal, with the numbers that it uses."""

    name: str
    vendor_id: bytes
    nat_d: PayloadType
    nat_oa: PayloadType
    udp_transport: EncapsulationMode


def _draft(name: str, vendor_id: str) -> Variant:
    return Variant(
        name,
        bytes.fromhex(vendor_id),
        PayloadType.NAT_D_DRAFT,
        PayloadType.NAT_OA_DRAFT,
        EncapsulationMode.UDP_TRANSPORT_DRAFT,
    )


RFC3947: Final = Variant(
    "RFC 3947",
    bytes.fromhex("4a131c81070358455c5728f20e95452f"),
    PayloadType.NAT_D,
    PayloadType.NAT_OA,
    EncapsulationMode.UDP_TRANSPORT,
)

VARIANTS: Final = (
    RFC3947,
    _draft("NAT-T draft 03", "7d9419a65310ca6f2c179d9215529d56"),
    _draft("NAT-T draft 02", "cd60464335df21f87cfdb2fc68b6a448"),
    _draft("NAT-T draft 02 with newline", "90cb80913ebb696e086381b5ec427b1f"),
)
"""In the order of preference. The vendor ids are MD5 hashes of the documents' names; that of
draft 02 was first published with a newline at its end, and Windows still sends it."""


@dataclass(frozen=True, slots=True)
class Nat:
    """Where NAT was found: in front of the peer, in front of us."""

    peer: bool
    ours: bool

    @property
    def found(self) -> bool:
        """Whether there is NAT anywhere."""
        return self.peer or self.ours

    def __str__(self) -> str:
        places = [name for name, there in (("peer", self.peer), ("server", self.ours)) if there]
        return f"NAT: {' and '.join(places)}" if places else "no NAT"


NO_NAT: Final = Nat(False, False)


def choose_variant(vendor_ids: Sequence[bytes]) -> Variant | None:
    """Return the best variant that the peer offers too, or None."""
    return next((variant for variant in VARIANTS if variant.vendor_id in vendor_ids), None)


def address_hash(algorithm: HashAlgorithm, cookies: Cookies, address: Address) -> bytes:
    """Return the body of a NAT-D payload (RFC 3947 section 3.2)."""
    octets = ip_address(address.host).packed + address.port.to_bytes(2, "big")
    return digest(algorithm, b"".join((*cookies, octets)))


def nat_d_payloads(
    variant: Variant,
    algorithm: HashAlgorithm,
    cookies: Cookies,
    path: Path,
    hidden: Address | None = None,
) -> list[Payload]:
    """Return our NAT-D payloads: the peer's address as we see it, then our own.

    The one that is `hidden` gets a hash that fits no address. So the peer finds NAT there, and
    ESP goes in UDP and gets through where nothing else does. It should be the initiator's: to
    a server that seems to be behind NAT Windows does not connect
    (AssumeUDPEncapsulationContextOnSendRule).
    """
    payloads = []
    for address in (path.peer, path.local):
        body = address_hash(algorithm, cookies, address)
        if address == hidden:
            body = digest(algorithm, body)
        payloads.append(Payload(variant.nat_d, body))
    return payloads


def detect(
    variant: Variant, algorithm: HashAlgorithm, cookies: Cookies, path: Path, payloads: Payloads
) -> Nat:
    """Return what the peer's NAT-D payloads tell: the first is ours as the peer sees it.

    A peer that sends none does not do NAT traversal after all.
    """
    hashes = payloads.all(variant.nat_d)
    if len(hashes) < 2:
        return NO_NAT
    ours = address_hash(algorithm, cookies, path.local)
    theirs = address_hash(algorithm, cookies, path.peer)
    return Nat(
        peer=not any(compare_digest(theirs, own) for own in hashes[1:]),
        ours=not compare_digest(ours, hashes[0]),
    )


def float_ports(path: Path) -> Path:
    """Return the path that an initiator goes on with once NAT was found (RFC 3947 section 4)."""
    return Path(Address(path.local.host, NATT_PORT), Address(path.peer.host, NATT_PORT))


def nat_oa_payloads(variant: Variant, initiator: str, responder: str) -> list[Payload]:
    """Return the original addresses as we see them, the initiator's first (section 5.2)."""
    return [
        Payload(variant.nat_oa, OriginalAddress(host).build()) for host in (initiator, responder)
    ]


def read_nat_oa(variant: Variant, payloads: Payloads) -> tuple[str, str] | None:
    """Return the addresses of initiator and responder as the peer sees them, if it says so.

    Raises DecodeError.
    """
    bodies = payloads.all(variant.nat_oa)
    if len(bodies) != 2:
        return None
    initiator, responder = (OriginalAddress.parse(Reader(body)).host for body in bodies)
    return initiator, responder
