"""What IKE tells the gateway. A peer is a number that is never used again."""

from dataclasses import dataclass
from enum import Enum

from ipsec.esp import InboundSa, OutboundSa
from ipsec.natt import Nat
from ipsec.offers import EspOffer, IkeOffer
from ipsec.path import Path
from ipsec.payloads import Identification


class Why(Enum):
    """Why an SA or a peer is gone."""

    DELETED_BY_PEER = "deleted by the peer"
    CLOSED = "closed by us"
    EXPIRED = "lifetime over"
    SURPLUS = "more SAs than one peer may have"
    INITIAL_CONTACT = "the peer started anew (INITIAL-CONTACT)"
    DEAD = "the peer no longer answers"
    JOINED = "the peer is one that was there before, at another port"
    NEGOTIATION_FAILED = "no SA was agreed"


@dataclass(frozen=True, slots=True)
class Negotiation:
    """What a main mode that a peer began was about; `began` is the time of its message 1.

    `cookie` is the initiator's. `offered` are its transforms in its order, the first of them if
    there are very many, None for each that we do not know. `chosen` is None where none suited.
    `heard` says that message 3 came: the peer gets our answers and its address is no fake.
    """

    cookie: bytes
    began: float
    client: str
    offered: tuple[IkeOffer | None, ...]
    chosen: IkeOffer | None
    nat: Nat
    heard: bool


@dataclass(frozen=True, slots=True)
class PeerAuthenticated:
    """Main Mode ended and a new peer is there; not raised where it renews a known peer's.

    `algorithms` and `client` are for people: what was agreed, and the software that the
    peer's vendor ids give away. `negotiation` is None where INITIAL-CONTACT, which came after
    Main Mode, made a new peer of one that was taken for a known one. `key` names the pre-shared
    key that it has.
    """

    peer: int
    path: Path
    identity: Identification
    algorithms: str
    client: str
    negotiation: Negotiation | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class EspOffered:
    """A peer has begun a quick mode; `offered` and `chosen` are as in Negotiation."""

    peer: int
    offered: tuple[EspOffer | None, ...]
    chosen: EspOffer | None


@dataclass(frozen=True, slots=True)
class SaInstalled:
    """A pair of ESP SAs was agreed in Quick Mode.

    The peer may send on `inbound` from now on; `outbound` is to be used when SaConfirmed names
    the pair, which may never come. `encapsulated` means ESP in UDP on `path` (RFC 3948), else
    ESP is IP protocol 50 between its hosts. `ours` and `theirs` are the client identifiers of
    Quick Mode: protocol and port say which traffic. `original_address` is the peer's address
    before NAT, where it told us (NAT-OA). Lifetimes are what was agreed, in seconds and
    kilobytes (1024 octets); Ike itself ends the SAs.
    """

    peer: int
    inbound: InboundSa
    outbound: OutboundSa
    path: Path
    encapsulated: bool
    ours: Identification
    theirs: Identification
    original_address: str | None
    algorithms: str
    lifetime_seconds: int
    lifetime_kilobytes: int | None


@dataclass(frozen=True, slots=True)
class SaConfirmed:
    """The peer has both SAs of the pair: from now on send on this, the newest, one."""

    peer: int
    inbound_spi: int


@dataclass(frozen=True, slots=True)
class SaDeleted:
    """Both SAs of the pair are gone.

    If it was the last of a client that should have renewed it, `unrenewed` says what became of
    our attempt to do so; else it is empty.
    """

    peer: int
    inbound_spi: int
    why: Why
    unrenewed: str = ""


@dataclass(frozen=True, slots=True)
class PathChanged:
    """An authenticated packet of the peer came from elsewhere: send there from now on."""

    peer: int
    path: Path


@dataclass(frozen=True, slots=True)
class PeerClosed:
    """The peer and all that belonged to it is gone; SaDeleted came for each pair before."""

    peer: int
    why: Why


@dataclass(frozen=True, slots=True)
class NegotiationFailed:
    """The one line for the log: who, at which stage, why, and what an admin can do about it.

    `peer` is None as long as nobody has proven to be one. `hint` may be empty. `negotiation`
    is there if it is a main mode that failed, and the peer began it. `timed_out` says that the
    peer did not go on, or that we did not hear it.
    """

    path: Path
    peer: int | None
    stage: str
    why: str
    hint: str
    negotiation: Negotiation | None = None
    timed_out: bool = False


Event = (
    PeerAuthenticated
    | EspOffered
    | SaInstalled
    | SaConfirmed
    | SaDeleted
    | PathChanged
    | PeerClosed
    | NegotiationFailed
)
