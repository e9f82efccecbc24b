"""What a link is told by the program."""

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from ssl import SSLContext


class Method(Enum):
    """How a peer may prove who it is."""

    MS_CHAP_V2 = "MS-CHAPv2"
    CHAP_MD5 = "CHAP-MD5"
    PAP = "PAP"
    EAP = "EAP"


class EapMethod(Enum):
    """How a peer may prove within EAP who it is."""

    TLS = "EAP-TLS"
    MS_CHAP_V2 = "EAP-MSCHAPv2"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and its password, with which a client proves who it is."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Assignment:
    """The addresses of a link's two ends, and what the peer shall know of the network.

    `address` is the peer's, `gateway` ours. Of `dns` and `nbns` the first two are offered
    (RFC 1877 has options for no more). `routes`, the networks that the peer reaches through
    us, and `search_domains` are for a peer that asks by DHCPINFORM.

    With a `prefix` of 64 bits there is IPv6 too: the peer forms its addresses from it and is
    told `dns6`, `search_domains` and `routes6`, or without these that all goes through us.
    `gateway6` is our address outside of the link.
    """

    address: IPv4Address
    gateway: IPv4Address
    dns: tuple[IPv4Address, ...] = ()
    nbns: tuple[IPv4Address, ...] = ()
    routes: tuple[IPv4Network, ...] = ()
    search_domains: tuple[str, ...] = ()
    prefix: IPv6Network | None = None
    gateway6: IPv6Address | None = None
    dns6: tuple[IPv6Address, ...] = ()
    routes6: tuple[IPv6Network, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """The settings of one end of a link; times in seconds, sizes in octets.

    A link with `credentials` is a client: it proves who it is and asks for its address. One
    without is a server: it demands a proof and assigns the address.

    `methods`: what a server asks for, or a client consents to, the preferred one first.
    `eap_methods`: the same for the methods of EAP; a client has EAP-MSCHAPv2 alone.
    `relay_eap`: whether a server asks the program, where EAP begins, who is to judge the peer.
    `tls`: what a server's EAP-TLS works with: our certificate, and the CAs of the peers, which
    must send one; None where EAP-TLS is not among `eap_methods`.
    `name`: what we call ourselves in a CHAP Challenge.
    `mru`: what we take (our Maximum-Receive-Unit); also bounds what we send.
    `authentication_timeout`: how long the peer may take from the start to its proof.
    `authentication_attempts`: how many proofs a peer may offer where the method lets it try
    again (MS-CHAPv2); the last wrong one ends the link.
    `echo_interval`: the time between two Echo-Requests; 0 sends none. The link is dead when
    `echo_failures` in a row stayed unanswered.
    `ipv6`: whether a client asks for IPv6; a server's assignment says it.
    The rest are the timers and counters of RFC 1661 section 4.6. The Restart timer of a layer
    whose peer is known to listen begins lower and doubles up to `restart`.
    """

    credentials: Credentials | None = None
    methods: tuple[Method, ...] = (Method.MS_CHAP_V2, Method.CHAP_MD5, Method.PAP, Method.EAP)
    eap_methods: tuple[EapMethod, ...] = (EapMethod.MS_CHAP_V2,)
    relay_eap: bool = False
    tls: SSLContext | None = field(default=None, repr=False)
    name: str = "l2gate"
    mru: int = 1400
    authentication_timeout: float = 60.0
    authentication_attempts: int = 1
    echo_interval: float = 30.0
    echo_failures: int = 4
    ipv6: bool = False
    restart: float = 3.0
    max_configure: int = 10
    max_terminate: int = 2
    max_failure: int = 5
