"""What tells one native client from another: data for the one engine in this directory.

`Evidence` says how sure each layer is; single values that are less sure are marked where they
stand: [S] read in the client's own source, [L] seen in logs or captures, [C] computed and of the
size that was logged, [D] documented by the vendor, [R] recollection only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from ipsec.constants import EncapsulationMode, IdType
from ipsec.proposals import SecurityAssociation

if TYPE_CHECKING:
    from tests.support.native.certificates import Certified

Options = tuple[tuple[int, str], ...]
"""PPP configuration options: types and data in hex; MAGIC stands for the magic number."""

MAGIC = "magic"

Evidence = tuple[str, str, str, str]
"""The tags for phase 1, phase 2, L2TP and PPP."""

SOURCES = {
    "S": "source",
    "L": "logs",
    "C": "computed sizes",
    "D": "vendor's documents",
    "R": "recollection",
}


class Contact(Enum):
    """Where a client says INITIAL-CONTACT."""

    NOWHERE = "nowhere"
    MESSAGE_5 = "in message 5 of Main Mode"
    APART = "in an exchange of its own after Main Mode"


class ServerIdentity(Enum):
    """What a client takes for the server's identity in message 6."""

    ANY = "anything"
    ADDRESS = "any address, unless there is NAT in front of the client"
    DIALLED = "the address that it dialled"


class Pace(Enum):
    """How a client goes from message to message of L2TP."""

    EAGER = "SCCCN and ICRQ at once"
    ACKNOWLEDGED = "ICRQ once SCCCN is acknowledged"
    ZLB = "ICRQ and PPP only on a ZLB or Hello, all else only with the expected Ns and Nr"


class OldSas(Enum):
    """What a client does with SAs that it has renewed."""

    DELETED_AFTER = "deleted once the new ones are in use"
    DELETED_BEFORE = "deleted before the new ones are in use"
    FORGOTTEN = "left to end without a word"


class Step(Enum):
    """What a client does when its user hangs up."""

    TERMINATE = "LCP Terminate-Request, once more if it is not acknowledged"
    CDN = "Call-Disconnect-Notify"
    STOPCCN = "Stop-Control-Connection-Notification"
    PAUSE = "nothing for four seconds"
    DELETE_ESP = "Delete of the ESP SA"
    DELETE_ISAKMP = "Delete of the ISAKMP SA"


@dataclass(frozen=True)
class Phase1:
    """Main Mode. `port` is 500 for an identity with UDP and port 500, 0 for one without.

    `renewal` is when the ISAKMP SA is renewed, in seconds, up to `spread` earlier by chance, and
    `late` when instead, if the client's cookie is the greater; without, a new one is made when
    Quick Mode has need of it. The SA ends after `lifetime`, and if it is `vital` all else with it.
    After so many `tries_on_4500` a renewal is begun on port 500.
    With a `group`, of a type and a name, it is Aggressive Mode. `certified` says how a
    certificate is used in place of the pre-shared key.
    """

    offer: SecurityAssociation
    vendor_ids: Sequence[str]
    nonce: int
    port: int = 0
    contact: Contact = Contact.NOWHERE
    server: ServerIdentity = ServerIdentity.ANY
    resend: tuple[float, ...] = (2.0, 2.0, 2.0, 2.0, 2.0)
    counts_ids: bool = False
    renewal: float | None = None
    spread: float = 0.0
    late: float | None = None
    lifetime: float = 28800.0
    vital: bool = False
    tries_on_4500: int | None = None
    group: tuple[IdType, bytes] | None = None
    certified: "Certified | None" = None


@dataclass(frozen=True)
class Phase2:
    """Quick Mode. `port` is that of IDci, None: the one that L2TP uses.

    The SAs are renewed after `renewal` seconds, up to `spread` earlier by chance, or when one has
    carried so many `kilobytes`, and end after `lifetime`.
    With `draft_icv` the client truncates HMAC-SHA2-256 to 96 bits.
    """

    offer: Callable[[EncapsulationMode, bytes], SecurityAssociation]
    port: int | None = None
    pfs_group: int = 0
    renewal: float = 3300.0
    spread: float = 0.0
    lifetime: float = 3600.0
    kilobytes: int | None = None
    draft_icv: bool = False


@dataclass(frozen=True)
class L2tp:
    """The control connection. The functions take the client's id and return AVPs, Message Type
    left out. `port` None is an ephemeral one; ids begin at `first_id`, None: anywhere.
    `data_length` is the L bit of data messages. `acknowledges_end` says whether a CDN or StopCCN
    of the server gets an answer.
    """

    sccrq: Callable[[int, bytes], list[bytes]]
    icrq: Callable[[int], list[bytes]]
    iccn: list[bytes]
    port: int | None = None
    first_id: int | None = None
    pace: Pace = Pace.ACKNOWLEDGED
    hello_before: bool = False
    resend: float = 1.0
    data_length: bool = True
    acknowledges_end: bool = True
    cdn_result: bytes = b""
    stop_result: bytes = b""


@dataclass(frozen=True)
class Ppp:
    """PPP. `listens_after` is when it hears its first packet, in seconds after the call.

    `before` and `after` are the protocols that it asks for besides IPCP. With `shared_ids` one
    counter numbers the packets of all protocols. `idle` is how long it stays without traffic.
    """

    lcp: Options
    ipcp: Options
    first_id: int = 1
    shared_ids: bool = False
    listens_after: float = 0.0
    identifications: tuple[bytes, ...] = ()
    before: tuple[tuple[int, Options], ...] = ()
    after: tuple[tuple[int, Options], ...] = ()
    echo: float | None = None
    idle: float | None = None
    goodbye: bytes = b""


@dataclass(frozen=True)
class Profile:
    """One client. `legacy` says that it needs the proposals of that name.

    `evidence` says where what is here comes from.
    """

    name: str
    evidence: Evidence
    phase1: Phase1
    phase2: Phase2
    l2tp: L2tp
    ppp: Ppp
    hang_up: tuple[Step, ...]
    legacy: bool = False

    def __str__(self) -> str:
        return self.name

    def provenance(self) -> str:
        """Return in words what the simulation rests on."""
        layers = ("phase 1", "phase 2", "L2TP", "PPP")
        sources = [", ".join(SOURCES[tag] for tag in tags) for tags in self.evidence]
        each = [f"{layer}: {source}" for layer, source in zip(layers, sources, strict=True)]
        return "simulated; " + "; ".join(each)

    def endurance(self) -> str:
        """Return in words for how long it was tested, and what it did meanwhile."""
        phase1, phase2 = self.phase1, self.phase2
        if phase1.vital:
            first = f"hangs up after {_span(phase1.lifetime)}"
        elif phase1.renewal is None:
            first = "phase 1 anew when needed"
        elif phase1.late is not None:
            first = f"phase 1 anew after {_span(phase1.renewal)} or {_span(phase1.late)}"
        else:
            first = f"phase 1 anew after {_span(phase1.renewal, phase1.spread)}"
        second = f"phase 2 anew after {_span(phase2.renewal, phase2.spread)}"
        if phase2.kilobytes is not None:
            second += f" or {phase2.kilobytes // 1000} MB"
        return f"26 hours; {first}, {second}"


def _span(seconds: float, spread: float = 0.0) -> str:
    least = f"{(seconds - spread) / 60:.0f} to " if spread else ""
    return f"{least}{seconds / 60:.0f} min"
