"""What the gateway tells the program around it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from l2gate.state import Beginning, Ending


class Stage(Enum):
    """Where in the life of a connection something happened; leads the log line."""

    SERVER = "server"
    IKE = "ike"
    IPSEC = "ipsec"
    L2TP = "l2tp"
    PPP = "ppp"
    LOGIN = "login"
    SESSION = "session"


class Happening(StrEnum):
    """What happened, for programs: the events of the event log (docs/events.md)."""

    SERVER_READY = "server-ready"
    SERVER_STOPPING = "server-stopping"
    RELOADED = "reloaded"
    RELOAD_REFUSED = "reload-refused"
    PEER_AUTHENTICATED = "peer-authenticated"
    NEGOTIATION_FAILED = "negotiation-failed"
    SA_ESTABLISHED = "sa-established"
    TUNNEL_ESTABLISHED = "tunnel-established"
    LOGIN_ACCEPTED = "login-accepted"
    LOGIN_REFUSED = "login-refused"
    SESSION_OPENED = "session-opened"
    SESSION_ENDED = "session-ended"
    CALL_ENDED = "call-ended"
    TUNNEL_CLOSED = "tunnel-closed"
    PEER_CLOSED = "peer-closed"
    NOTED = "noted"
    LEFT_OUT = "left-out"


Fact = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Noted:
    """One line for the log: who, at which stage, what, why, and what to do about it.

    `trouble` tells a refusal or loss from the normal course; then `mend` says what to do about
    it and `windows` which error number Windows shows its user, where they are known. `attempt`
    is the number of the record in `Attempts`, `peer` the outer address and port, `session` our
    L2TP session id; they are empty where there is none yet. `happening` and `facts` are for the
    event log.
    """

    stage: Stage
    text: str
    peer: str = ""
    user: str = ""
    session: int | None = None
    trouble: bool = False
    mend: str = ""
    windows: int | None = None
    attempt: int | None = None
    happening: Happening = Happening.NOTED
    facts: Mapping[str, Fact] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        facts = [f"attempt={self.attempt}"] if self.attempt is not None else []
        if self.peer:
            facts.append(f"peer={self.peer}")
        if self.session is not None:
            facts.append(f"session={self.session}")
        if self.user:
            facts.append(f"user={printable(self.user)}")
        text = f"{self.text}; {self.mend}" if self.mend else self.text
        shown = [f"(Windows error {self.windows})"] if self.windows is not None else []
        return " ".join([f"{self.stage.value}:", *facts, printable(text), *shown])


@dataclass(frozen=True, slots=True)
class RouteAdded:
    """A client has become reachable through the TUN; `gateway` is our own address for it.

    `interface` is the name of the TUN device. With `proxy_arp` the client is in a network of the
    machine's own, whose hosts ask for it by ARP.
    """

    network: IPv4Network | IPv6Network
    gateway: IPv4Address | IPv6Address
    department: str
    interface: str
    proxy_arp: bool = False


@dataclass(frozen=True, slots=True)
class RouteRemoved:
    """A client is no longer reachable."""

    network: IPv4Network | IPv6Network
    department: str


@dataclass(frozen=True, slots=True)
class ShutdownFinished:
    """Every session has ended in the protocols' own way, or had its time to."""


@dataclass(frozen=True, slots=True)
class PasswordChangeRequested:
    """A user who logs in has a new password, which is to be stored.

    The login waits: Gateway.password_stored is owed, with `session` and `request`.
    """

    session: int
    request: int
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionBegun:
    """A login is right and has an address, unless another gateway has given that away.

    The login waits: Gateway.begun is owed, with `session`, which is our L2TP session id, and
    `beginning`. SessionEnded follows in the end, whatever the answer is.
    """

    session: int
    beginning: Beginning


@dataclass(frozen=True, slots=True)
class NetworkUp:
    """The network of a session that has begun is up, perhaps not for the first time.

    `facts` are for its reports; empty where it is not reported.
    """

    id: str
    time: int
    facts: str = ""


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A session that has begun is over."""

    ending: Ending


Event = (
    Noted
    | RouteAdded
    | RouteRemoved
    | PasswordChangeRequested
    | SessionBegun
    | NetworkUp
    | SessionEnded
    | ShutdownFinished
)


def printable(text: str) -> str:
    """Return text of which no line can be forged: control characters are escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
