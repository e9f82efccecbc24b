"""What is kept for the admin of each client's attempt to connect, and of what clients offer.

Both are rows as they are reported: text and numbers only, so that the command line needs none
of the protocols to read them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from ipsec.path import Address
from l2gate.events import Fact, Happening, Noted, Stage

LONGEST_TEXT: Final = 2000
"""Characters that are kept of a line of the log."""


class Mend(NamedTuple):
    """What to do about trouble, and the error number that Windows shows; None where none."""

    text: str = ""
    windows: int | None = None


class Reached(StrEnum):
    """How far a client has come, in the order of the way: what it is at, or stopped at."""

    MAIN_MODE = "main mode"
    QUICK_MODE = "quick mode"
    TUNNEL = "L2TP tunnel"
    CALL = "L2TP session"
    LCP = "LCP"
    AUTHENTICATION = "authentication"
    IPCP = "IPCP"
    UP = "up"


_WAY = tuple(Reached)


@dataclass(slots=True)
class Attempt:
    """One attempt to connect: from a client's first IKE packet to the end of its session.

    That is one IPsec peer with whatever calls it makes, or a main mode that came to nothing. Of
    attempts that failed alike only the latest is kept: `count` says how many there were and
    `first` when the first of them began. Times are seconds, of the gateway's clock or, where it
    is reported, since 1970; `ended` is None while the client may still go on.

    `stage` is where the client is or has stopped, `furthest` the furthest it ever came. `why`
    is what the log says about the trouble it met last, `mend` what to do about it, `windows`
    the number that Windows shows its user; `end` is how the call ended, or the peer where there
    was none. `cookie` is the initiator's, in hexadecimal; `client` the software by its vendor
    ids; what was offered stands in the client's order; `esp` says that an ESP packet came.
    `login` is the name as typed, `user` the one that was proven. Octets are those of inner
    packets of calls that have ended. `key` names the pre-shared key that the client has.
    """

    id: int
    began: float
    first: float
    host: str
    port: int
    ended: float | None = None
    count: int = 1
    cookie: str = ""
    client: str = ""
    identity: str = ""
    nat: str = ""
    esp: bool = False
    ike_offered: tuple[str, ...] = ()
    ike_chosen: str = ""
    esp_offered: tuple[str, ...] = ()
    esp_chosen: str = ""
    host_name: str = ""
    login: str = ""
    user: str = ""
    department: str = ""
    address: str = ""
    method: str = ""
    stage: str = Reached.MAIN_MODE
    furthest: str = Reached.MAIN_MODE
    why: str = ""
    mend: str = ""
    windows: int | None = None
    octets_in: int = 0
    octets_out: int = 0
    end: str = ""
    key: str = ""

    def reach(self, stage: Reached) -> None:
        """Take note that the client has come to `stage`, unless it has been there."""
        if _WAY.index(stage) > _WAY.index(Reached(self.stage)):
            self.stage = stage
        if _WAY.index(stage) > _WAY.index(Reached(self.furthest)):
            self.furthest = stage
        if stage is Reached.UP:
            self._forget_trouble()

    def call(self) -> None:
        """Begin a call: what became of an earlier one that is over does not matter any more."""
        if self.stage != Reached.UP or self.ended is not None:
            self.stage = Reached.CALL
            self._forget_trouble()
        self.ended, self.end = None, ""
        self.reach(Reached.LCP)

    def call_ended(self, why: str, octets_in: int, octets_out: int, now: float) -> None:
        """Take note of the end of a call."""
        self.octets_in += octets_in
        self.octets_out += octets_out
        self.ended, self.end = now, why

    def noted(
        self,
        stage: Stage,
        text: str,
        mend: Mend | None = None,
        session: int | None = None,
        user: str = "",
        happening: Happening = Happening.NOTED,
        **facts: Fact,
    ) -> Noted:
        """Return a line for the logs; with `mend` it is trouble, remembered in the same words."""
        if mend is not None:
            self.why, self.mend, self.windows = text[:LONGEST_TEXT], mend.text, mend.windows
        peer = str(Address(self.host, self.port))
        trouble, what_to_do = mend is not None, mend or Mend()
        who = peer, user, session, trouble
        return Noted(stage, text, *who, *what_to_do, self.id, happening, facts)

    def absorb(self, older: "Attempt") -> None:
        """Stand for an older attempt that failed alike, too."""
        self.count += older.count
        self.first = older.first

    def _forget_trouble(self) -> None:
        self.why, self.mend, self.windows = "", "", None


@dataclass(slots=True)
class Offer:
    """What some clients offer: transforms of both phases in their order.

    `esp` is empty where no client with this offer came as far as quick mode. `accepted` names
    the proposals (`ipsec.proposals`) under which both phases would succeed, for a server that has
    what the offer is authenticated by. `proven` says that a client who has the pre-shared key
    offered it. `last` is a time as in Attempt.
    """

    client: str
    ike: tuple[str, ...]
    esp: tuple[str, ...]
    accepted: tuple[str, ...]
    proven: bool
    count: int
    last: float
    host: str
