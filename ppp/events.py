"""What a link tells the program.

A link that was started is closed exactly once. A peer may negotiate a link anew while it is
open (RFC 1661 section 3.4): then NetworkClosed comes, and all others once again from
LinkOpened on.
"""

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

from ppp.config import Method
from ppp.proofs import Proof


class Reason(Enum):
    """Why a link was closed."""

    PEER_TERMINATED = "the peer ended the link"
    LOCALLY_TERMINATED = "we ended the link"
    LOWER_LAYER_DOWN = "the session under the link ended"
    NO_ANSWER = "the peer does not answer"
    NOT_CONVERGED = "the ends do not agree on options"
    METHODS_REFUSED = "no authentication method suits both ends"
    AUTHENTICATION_FAILED = "authentication failed"
    AUTHENTICATION_TIMED_OUT = "the peer did not authenticate in time"
    ECHO_TIMED_OUT = "the peer has stopped answering Echo-Requests"
    PROTOCOL_REJECTED = "the peer rejects a protocol that the link needs"


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """LCP is open. `method` is how the server's peer must authenticate, None: not at all."""

    peer_mru: int
    method: Method | None


@dataclass(frozen=True, slots=True)
class AuthenticationRequested:
    """The peer has sent `proof`; Link.authenticated or Link.rejected is owed, with `request`.

    With an EapResponse it may be Link.relay or Link.go_on_here instead. A later request takes the
    place of an earlier one.
    """

    request: int
    proof: Proof


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The peer (on a client: we ourselves) has proven to be `name`.

    A server's Link.assign is owed now; IPCP waits for nothing else.
    """

    name: str


@dataclass(frozen=True, slots=True)
class NetworkOpened:
    """IPCP is open: IPv4 packets may flow.

    `local` and `remote` are the addresses of our end and of the peer's; a peer need not tell
    a client its own. `mtu` is the largest IPv4 packet, in octets, that may be sent. `dns` is
    what a client was given.
    """

    local: IPv4Address
    remote: IPv4Address | None
    mtu: int
    dns: tuple[IPv4Address, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkClosed:
    """IPCP is not open any more: no IPv4 packet may flow."""


@dataclass(frozen=True, slots=True)
class Ipv6Opened:
    """IPV6CP is open: IPv6 packets may flow.

    `local` and `remote` are the interface identifiers, of 8 octets, of our end and of the
    peer's; a peer need not tell its own, which is zero then.
    """

    local: bytes
    remote: bytes


@dataclass(frozen=True, slots=True)
class Ipv6Closed:
    """IPV6CP is not open any more: no IPv6 packet may flow."""


@dataclass(frozen=True, slots=True)
class LinkClosed:
    """The link has ended for good; `why` is a sentence for the log.

    `hint` says what to do about it, where that is known better than from `reason`.
    """

    reason: Reason
    why: str
    hint: str = ""

    @property
    def by_peer(self) -> bool:
        """Whether the peer wished it."""
        return self.reason is Reason.PEER_TERMINATED


Event = (
    LinkOpened
    | AuthenticationRequested
    | Authenticated
    | NetworkOpened
    | NetworkClosed
    | Ipv6Opened
    | Ipv6Closed
    | LinkClosed
)
