"""The configuration as the program uses it: checked values, no YAML, no files.

The sections and keys are those of the file (docs/configuration.md).
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING

from aaa import Directory, Limits
from aaa.radius.client import Server

if TYPE_CHECKING:
    from ipsec.credentials import Credentials


class Proposals(Enum):
    """The named sets of algorithms that clients may choose from."""

    DEFAULT = "default"
    STRICT = "strict"
    LEGACY = "legacy"
    LAB = "lab"


class AuthenticationMethod(Enum):
    """The ways to log in that a PPP link offers."""

    MS_CHAPV2 = "ms-chapv2"
    CHAP_MD5 = "chap-md5"
    PAP = "pap"
    EAP = "eap"


class EapMethod(Enum):
    """The methods of EAP that a PPP link offers."""

    TLS = "tls"
    MSCHAPV2 = "mschapv2"


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files of EAP-TLS in PEM: our certificate with its chain, its key, the clients' CAs."""

    certificate: Path
    private_key: Path
    client_ca: Path


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Names and places of the server itself.

    `tun` is the name of the TUN device. `event_log` is where events are appended to: a file, or
    "-" for standard output, or None for nowhere. `firewall` keeps the departments apart. `user` is
    whom the server becomes after its start, or None for nobody else.
    """

    name: str
    listen: tuple[IPv4Address | IPv6Address, ...]
    tun: str
    control_socket: Path
    max_sessions: int
    event_log: Path | None = None
    firewall: bool = True
    user: str | None = None


@dataclass(frozen=True, slots=True)
class KeySettings:
    """A pre-shared key for those in a network, or for a group in aggressive mode.

    `psk_next` is good beside `psk`, so that clients can change one after the other.
    """

    psk: bytes = field(repr=False)
    psk_next: bytes | None = field(default=None, repr=False)
    network: IPv4Network | IPv6Network | None = None
    group: str | None = None

    def __str__(self) -> str:
        return f"from {self.network}" if self.group is None else f"of group {self.group}"


@dataclass(frozen=True, slots=True)
class IpsecSettings:
    """IKE and ESP. `psk` and `credentials` may be None, but not both.

    `psk` and `psk_next` are for all clients whose address has no key of its own in `keys`.
    `identity` is what the server calls itself in main mode: an address or a domain name, or
    None for the address that the client reached. `dpd_interval` (seconds) is None where dead
    peers are not to be asked for. `max_half_open` bounds the main modes that are not finished.
    `credentials` can be others after a reload, and are left out where settings are compared.
    """

    psk: bytes | None = field(repr=False)
    proposals: Proposals
    identity: IPv4Address | IPv6Address | str | None
    force_encapsulation: bool
    dpd_interval: float | None
    max_half_open: int
    psk_next: bytes | None = field(default=None, repr=False)
    keys: tuple[KeySettings, ...] = ()
    credentials: "Credentials | None" = field(default=None, repr=False)

    def with_credentials(self, other: "IpsecSettings") -> "IpsecSettings":
        """Return these settings with the keys and certificates of others."""
        return replace(
            self,
            psk=other.psk,
            psk_next=other.psk_next,
            keys=other.keys,
            credentials=other.credentials,
        )


@dataclass(frozen=True, slots=True)
class L2tpSettings:
    """The LNS. `secret` demands tunnel authentication (RFC 2661 section 5.1.1) if not None.

    `hello_interval` are the seconds of silence after which a Hello is sent.
    """

    tunnel_name: str
    secret: bytes | None = field(repr=False)
    hello_interval: float


@dataclass(frozen=True, slots=True)
class PppSettings:
    """PPP links. `authentication` and `eap_methods` are in the order of our wish.

    `authentication_attempts` bounds the passwords that a client may try before it must call
    again. `certificates` are there if EAP-TLS is among `eap_methods`.
    `mru` is what we ask the peer to respect, `mtu` the most that we send whatever the peer's
    MRU is; both in octets of the inner packet.
    """

    authentication: tuple[AuthenticationMethod, ...]
    mru: int
    mtu: int
    authentication_attempts: int = 3
    eap_methods: tuple[EapMethod, ...] = (EapMethod.MSCHAPV2,)
    certificates: Certificates | None = None

    @property
    def proofs(self) -> tuple[str, ...]:
        """What a client may log in by; of EAP its methods."""
        return tuple(
            name
            for method in self.authentication
            for name in (
                [f"EAP-{eap.value.upper()}" for eap in self.eap_methods]
                if method is AuthenticationMethod.EAP
                else [method.value.upper()]
            )
        )


@dataclass(frozen=True, slots=True)
class DynamicClient:
    """Who may end and change sessions from outside, by the address that it sends from."""

    host: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DynamicSettings:
    """Dynamic authorization (RFC 5176): where we listen for whom."""

    listen: IPv4Address | IPv6Address
    port: int
    clients: tuple[DynamicClient, ...]


@dataclass(frozen=True, slots=True)
class RadiusSettings:
    """RADIUS. `accounting_servers` is empty where nothing is accounted.

    A server has `timeout` seconds to answer, and is then taken for dead for `dead_time`.
    `interim_interval` (seconds) is None where there are no reports between start and stop.
    `relay_eap`: the servers speak EAP with their users; else it ends here.
    """

    servers: tuple[Server, ...]
    accounting_servers: tuple[Server, ...]
    timeout: float
    dead_time: float
    nas_identifier: str
    interim_interval: float | None
    dynamic: DynamicSettings | None = None
    relay_eap: bool = False


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Where leases, sessions and history are kept: in a file, or else on a PostgreSQL server.

    `postgresql` is libpq's connection string. `gateway` is a name that no other server has which
    keeps its state there; `keep` says after how many days history is forgotten.
    """

    file: Path | None
    postgresql: str | None = field(repr=False)
    gateway: str
    keep: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that was configured. `lockout` is None where wrong passwords lock nobody.

    `state` is None where nothing survives a restart.
    """

    server: ServerSettings
    ipsec: IpsecSettings
    l2tp: L2tpSettings
    ppp: PppSettings
    directory: Directory
    lockout: Limits | None = field(default_factory=Limits)
    radius: RadiusSettings | None = None
    state: StateSettings | None = None
