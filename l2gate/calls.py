"""One caller: an L2TP session, the PPP link on it, and who it turned out to be."""

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from aaa import ClientFacts, Department, Lease, Policy
from aaa.radius.access import Authorization
from aaa.radius.accounting import NO_TRAFFIC, Traffic
from aaa.radius.constants import AcctTerminateCause
from l2gate.events import Fact
from l2gate.history import Attempt, Mend
from l2gate.peers import Flow, Peer
from l2gate.records import SessionRecord
from l2tp.constants import CallResult
from l2tp.events import SessionOpened
from ppp.events import NetworkOpened, Reason
from ppp.link import Link
from ppp.router import MINIMUM_MTU
from wire import LocalError

RESULTS = {
    Reason.LOCALLY_TERMINATED: CallResult.ADMINISTRATIVE,
    Reason.METHODS_REFUSED: CallResult.ADMINISTRATIVE,
    Reason.AUTHENTICATION_FAILED: CallResult.ADMINISTRATIVE,
    Reason.AUTHENTICATION_TIMED_OUT: CallResult.ADMINISTRATIVE,
}
"""What the CDN says; whatever else ends a link is a loss of carrier (RFC 2661 section 4.4.2)."""

CAUSES = {
    Reason.PEER_TERMINATED: AcctTerminateCause.USER_REQUEST,
    Reason.LOCALLY_TERMINATED: AcctTerminateCause.NAS_REQUEST,
}
"""What accounting says; whatever else ends a link is a lost carrier there, too."""

IPV6_EXCESS = 20
"""Octets that an outer IPv6 header is longer than one of IPv4."""

LOOKS = 8
"""How often in its idle time-out a session is looked at: so late may it end, in parts of that."""


class CallState(Enum):
    """How far a call has come."""

    NEGOTIATING = "negotiating"
    OPEN = "open"
    CLOSING = "closing"


@dataclass(slots=True, eq=False)
class Call:
    """A call from the moment its L2TP session is established until that is closed.

    `since` is the caller's clock in seconds, `peer_hung_up` says that it was the peer who ended
    PPP, `login` is the name as typed, `user` the name once it is proven. `record` is what the
    data plane knows of the call since its network was last opened. `why` and `result` say how
    it ends, in the log and in the CDN, if it is we who end it; `mend` is there if this is no
    usual end. `prefix` is the IPv6 prefix, where there is one, and `is_ipv6_open` says that the
    peer may use it. `routes` are the networks behind the client. `ns` is the next sequence number
    of data, as long as there is no record that counts them; `heard` how many packets of data had
    come when that was last looked at. `accepted` is when the login was, `quiet_since` when packets
    of the user's were last found to have flown, of which there were `traffic` then.

    `accounting_id` is that of the session in the log of events, history and RADIUS, unique for
    ever. A call has another session each time that somebody else logs in on it: `owner` is whose
    it is, and `before` what the call has carried for others. `authorization` is what a RADIUS
    server granted, if it was one that let the user in, and `cause` says how the call ends.
    """

    opened: SessionOpened
    flow: Flow
    peer: Peer
    host_name: str
    attempt: Attempt
    link: Link
    since: float
    accounting_id: str
    state: CallState = CallState.NEGOTIATING
    peer_hung_up: bool = False
    login: str = ""
    method: str = ""
    user: str = ""
    department: Department | None = None
    lease: Lease | None = None
    prefix: IPv6Network | None = None
    routes: tuple[IPv4Network, ...] = ()
    is_ipv6_open: bool = False
    record: SessionRecord | None = None
    ns: int = 0
    heard: int = 0
    why: str = ""
    mend: Mend | None = None
    accepted: float = 0.0
    quiet_since: float = 0.0
    traffic: int = 0
    result: CallResult = CallResult.LOSS_OF_CARRIER
    authorization: Authorization | None = None
    cause: AcctTerminateCause | None = None
    owner: str = ""
    before: Traffic = NO_TRAFFIC

    @property
    def session(self) -> int:
        """Our L2TP session id, by which the whole program knows the call."""
        return self.opened.session

    @property
    def is_open(self) -> bool:
        """Whether the network is open: IPv4 flows."""
        return self.state is CallState.OPEN

    def has_sent(self) -> bool:
        """Say whether the client has sent data since this was last asked."""
        before, self.heard = self.heard, self.record.packets_in if self.record else 0
        return self.heard > before

    def quiet(self, now: float) -> float:
        """Return for how many seconds no packet of the user's has flown, as far as was looked."""
        record = self.record
        traffic = 0 if record is None else record.packets_in + record.packets_out
        if traffic != self.traffic:
            self.traffic, self.quiet_since = traffic, now
        return now - self.quiet_since

    def carried(self) -> Traffic:
        """Return what the session has carried."""
        record, before = self.record, self.before
        if record is None:
            return NO_TRAFFIC
        return Traffic(
            record.octets_in - before.octets_in,
            record.octets_out - before.octets_out,
            record.packets_in - before.packets_in,
            record.packets_out - before.packets_out,
        )

    def facts_of_end(self) -> dict[str, Fact]:
        """Return what the log of events says of the session that is over."""
        carried = self.carried()
        return {
            "id": self.accounting_id,
            "octets_in": carried.octets_in,
            "octets_out": carried.octets_out,
        }

    def next_session(self, accounting_id: str) -> None:
        """Let the session be over, and another one begin, which is nobody's yet."""
        record = self.record
        if record is not None:
            self.before = Traffic(
                record.octets_in, record.octets_out, record.packets_in, record.packets_out
            )
        self.accounting_id, self.owner, self.user = accounting_id, "", ""

    def next_ns(self) -> int | None:
        """Return and use up a sequence number, or None if the peer demanded none."""
        if not self.opened.sequencing:
            return None
        counter = self.record or self
        ns = counter.ns
        counter.ns = (ns + 1) & 0xFFFF
        return ns

    def new_record(self, network: NetworkOpened, mtu: int) -> SessionRecord:
        """Return what the data plane must know, now that IPCP has opened."""
        if self.lease is None or self.department is None:
            raise LocalError("a network without a lease")
        old = self.record
        return SessionRecord(
            peer=self.peer.record,
            tunnel_id=self.opened.tunnel,
            session_id=self.opened.session,
            peer_tunnel_id=self.opened.peer_tunnel,
            peer_session_id=self.opened.peer_session,
            port=self.flow.port,
            address=int(self.lease.address),
            gateway=int(network.local),
            mtu=min(network.mtu, mtu),
            interface=self.department.interface,
            routes=self.routes,
            sequencing=self.opened.sequencing,
            ns=(old or self).ns,
            packets_in=old.packets_in if old else 0,
            octets_in=old.octets_in if old else 0,
            packets_out=old.packets_out if old else 0,
            octets_out=old.octets_out if old else 0,
        )


class End(NamedTuple):
    """In how many seconds a call ends, or may do so, and why; `cause` is for accounting."""

    left: float
    why: str
    cause: AcctTerminateCause = AcctTerminateCause.NAS_REQUEST


def ends_of(call: Call, policy: Policy, now: float) -> list[End]:
    """Return when a policy ends a call."""
    ends = []
    if policy.session_timeout is not None:
        left = call.accepted + policy.session_timeout - now
        why = f"the session has lasted {policy.session_timeout:.0f} s"
        ends.append(End(left, why, AcctTerminateCause.SESSION_TIMEOUT))
    if policy.idle_timeout is not None:
        left = policy.idle_timeout - call.quiet(now)
        next_look = min(left, policy.idle_timeout / LOOKS)
        why = f"no traffic for {policy.idle_timeout:.0f} s"
        ends.append(End(next_look, why, AcctTerminateCause.IDLE_TIMEOUT))
    return ends


def client_facts(call: Call) -> ClientFacts:
    """Return what AAA may know a device by."""
    return ClientFacts(call.peer.record.path.peer.host, call.host_name, call.peer.identity)


def within(peer: Peer, size: int) -> int:
    """Return how large packets may be that are to leave as much room beneath IPv6 as IPv4.

    But IPv6 must be possible inside, if it is possible at all.
    """
    if ":" not in peer.record.path.peer.host:
        return size
    return max(size - IPV6_EXCESS, min(size, MINIMUM_MTU))
