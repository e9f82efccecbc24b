"""What the gateway tells the program around it."""

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address


class Stage(Enum):
    """Where in the life of a connection something happened; leads the log line."""

    SERVER = "server"
    IKE = "ike"
    IPSEC = "ipsec"
    L2TP = "l2tp"
    PPP = "ppp"
    LOGIN = "login"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Noted:
    """One line for the log: who, at which stage, what, why, and what to do about it.

    `trouble` tells a refusal or loss from the normal course; then `mend` says what to do about
    it and `windows` which error number Windows shows its user, where they are known. `attempt`
    is the number of the record in `Attempts`, `peer` the outer address and port, `session` our
    L2TP session id; they are empty where there is none yet.
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
    """An inner address has become reachable through the TUN; `gateway` is our end of the link."""

    address: IPv4Address
    gateway: IPv4Address


@dataclass(frozen=True, slots=True)
class RouteRemoved:
    """An inner address is no longer reachable."""

    address: IPv4Address


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


Event = Noted | RouteAdded | RouteRemoved | PasswordChangeRequested | ShutdownFinished


def printable(text: str) -> str:
    """Return text of which no line can be forged: control characters are escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
