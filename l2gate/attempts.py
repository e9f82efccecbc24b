"""Keeps one record of each client's attempt to connect (`l2gate.history.Attempt`).

How this works. The gateway hands on what the cores tell it. A peer's record begins when it is
authenticated, with what its main mode was about, and is over when the peer is gone; a main mode
that fails before has a record of its own. What is over is kept in two rings, so that strangers,
who can fail as often as they like, cannot push out what is known of clients that have the
pre-shared key. In either, attempts of one host that failed alike are one record.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import replace
from typing import Final

from ipsec import events as ike
from ipsec.path import Path
from l2gate import mending
from l2gate.calls import Call
from l2gate.events import Happening, Noted, Stage
from l2gate.fleet import Fleet, names
from l2gate.history import Attempt, Mend, Reached
from l2tp import events as l2tp
from ppp import events as ppp

MAX_ENDED: Final = 1000
"""Records of authenticated clients that are gone; the oldest gives way."""

MAX_STRANGERS: Final = 500
MAX_STRANGERS_PER_HOST: Final = 20
"""Records of main modes that failed, in all and of one host."""

LONGEST_NAME: Final = 255
"""Characters that are kept of what a client calls itself."""


class Ring:
    """Records of attempts that are over, the oldest first; `per_host` bounds those of a host."""

    def __init__(self, limit: int, per_host: int) -> None:
        self._limit = limit
        self._per_host = per_host
        self._records: dict[Hashable, Attempt] = {}
        self._hosts: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._records.values())

    def get(self, key: Hashable) -> Attempt | None:
        """Return the record with that key, or None."""
        return self._records.get(key)

    def add(self, key: Hashable, attempt: Attempt) -> None:
        """Keep a record; one with the same key is absorbed."""
        if key in self._records:
            attempt.absorb(self._remove(key))
        elif self._hosts[attempt.host] >= self._per_host:
            self._remove(next(k for k, a in self._records.items() if a.host == attempt.host))
        elif len(self._records) >= self._limit:
            self._remove(next(iter(self._records)))
        self._records[key] = attempt
        self._hosts[attempt.host] += 1

    def _remove(self, key: Hashable) -> Attempt:
        attempt = self._records.pop(key)
        self._hosts[attempt.host] -= 1
        if not self._hosts[attempt.host]:
            del self._hosts[attempt.host]
        return attempt


class Attempts:
    """All records: of the peers there are, and as many of those that are gone as are kept."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self._last_id = 0
        self._peers: dict[int, Attempt] = {}
        self._uncounted: dict[int, ike.Negotiation] = {}
        self._ended = Ring(MAX_ENDED, MAX_ENDED)
        self._strangers = Ring(MAX_STRANGERS, MAX_STRANGERS_PER_HOST)

    def __iter__(self) -> Iterator[Attempt]:
        records = (*self._strangers, *self._ended, *self._peers.values())
        return iter(sorted(records, key=lambda attempt: attempt.id))

    def of(self, peer: int) -> Attempt:
        """Return the record of a peer that there is."""
        return self._peers[peer]

    # What the gateway hands on

    def authenticated(self, event: ike.PeerAuthenticated, now: float) -> None:
        """Begin the record of a peer."""
        attempt = self._new(event.path, event.negotiation, now)
        attempt.client, attempt.key = event.client, event.key
        attempt.identity = str(event.identity)[:LONGEST_NAME]
        attempt.reach(Reached.QUICK_MODE)
        self._peers[event.peer] = attempt
        if event.negotiation is not None:
            self._uncounted[event.peer] = event.negotiation

    def offered(self, event: ike.EspOffered, now: float) -> None:
        """Take note of the offer in quick mode; the first is counted."""
        attempt = self._peers[event.peer]
        attempt.esp_offered = names(event.offered)
        attempt.esp_chosen = str(event.chosen or "")
        about = self._uncounted.pop(event.peer, None)
        if about is not None:
            offer = self.fleet.count(about, event.offered, True, attempt.host, now)
            attempt.ike_offered, attempt.esp_offered = offer.ike, offer.esp

    def failed(self, event: ike.NegotiationFailed, now: float) -> Noted | None:
        """Return the line for a negotiation that failed.

        None for what is not worth one: anybody can send first messages without end.
        """
        mend = mending.negotiation(event)
        text, about = f"{event.stage} failed: {event.why}", event.negotiation
        attempt = self._peers.get(event.peer or 0)
        silent = about is not None and about.chosen is not None and not about.heard
        if attempt is None:
            attempt = self._stranger(event, text, now)
            silent = silent or attempt.why == text
        noted = replace(
            attempt.noted(Stage.IKE, text, mend),
            happening=Happening.NEGOTIATION_FAILED,
            facts={"stage": event.stage, "why": event.why},
        )
        return None if silent else noted

    def moved(self, event: ike.PathChanged) -> None:
        """Take note of where a peer is now."""
        attempt = self._peers[event.peer]
        attempt.host, attempt.port = event.path.peer

    def closed(self, event: ike.PeerClosed, encapsulated: bool, now: float) -> Noted:
        """End the record of a peer, and return the line that says so."""
        attempt = self._peers.pop(event.peer)
        about = self._uncounted.pop(event.peer, None)
        if about is not None:
            self.fleet.count(about, (), True, attempt.host, now)
        text = f"peer closed: {event.why.value}"
        noted = attempt.noted(Stage.IKE, text)
        in_call = attempt.ended is None and attempt.stage == Reached.UP
        if in_call and event.why is ike.Why.DEAD:
            noted = attempt.noted(Stage.IKE, text, Mend(mending.NETWORK_LOST))
        elif attempt.stage != Reached.UP and not attempt.why and event.why is not ike.Why.JOINED:
            missing, mend = mending.unfinished(Reached(attempt.stage), attempt.esp, encapsulated)
            noted = attempt.noted(Stage.IKE, f"{text}, {missing}", mend)
        if attempt.ended is None:
            attempt.ended = now
        # The line of a call's end has its seconds, by which those that ended alike differ.
        alike = attempt.identity, attempt.login, attempt.stage, attempt.end or attempt.why
        attempt.end = attempt.end or event.why.value
        facts = {"why": event.why.value, "duration": now - attempt.began}
        noted = replace(noted, happening=Happening.PEER_CLOSED, facts=facts)
        was_up = attempt.furthest == Reached.UP
        self._ended.add(attempt.id if was_up else (attempt.host, *alike), attempt)
        return noted

    def follow_tunnel(self, event: l2tp.TunnelOpened, peer: int) -> None:
        """Take note of a tunnel."""
        attempt = self._peers[peer]
        attempt.host_name = event.host_name[:LONGEST_NAME]
        attempt.reach(Reached.CALL)

    # Making records

    def _stranger(self, event: ike.NegotiationFailed, text: str, now: float) -> Attempt:
        """Return the record of a main mode that failed: a new one, unless it failed before."""
        key = event.path.peer.host, text
        attempt, about = self._strangers.get(key), event.negotiation
        if attempt is None or about is None or attempt.cookie != about.cookie.hex():
            attempt = self._new(event.path, about, now)
            if about is not None and about.offered:
                offer = self.fleet.count(about, (), False, attempt.host, now)
                attempt.ike_offered = offer.ike
            self._strangers.add(key, attempt)
        attempt.stage = attempt.furthest = event.stage
        attempt.ended = now
        return attempt

    def _new(self, path: Path, about: ike.Negotiation | None, now: float) -> Attempt:
        self._last_id += 1
        began = now if about is None else about.began
        attempt = Attempt(self._last_id, began, began, path.peer.host, path.peer.port)
        if about is not None:
            attempt.cookie, attempt.client = about.cookie.hex(), about.client
            attempt.nat = str(about.nat) if about.heard else ""
            attempt.ike_offered = names(about.offered)
            attempt.ike_chosen = str(about.chosen or "")
        return attempt


def follow_call(call: Call, event: ppp.Event) -> None:
    """Take note of how far the PPP link of a call has come; it is handled already."""
    attempt = call.attempt
    match event:
        case ppp.LinkOpened():
            attempt.reach(Reached.AUTHENTICATION)
        case ppp.AuthenticationRequested():
            attempt.login, attempt.method = call.login[:LONGEST_NAME], call.method
        case ppp.Authenticated() if call.department is not None:
            attempt.user, attempt.department = call.user, call.department.name
            attempt.reach(Reached.IPCP)
        case ppp.NetworkOpened() if call.lease is not None:
            attempt.address = str(call.lease.address)
            attempt.reach(Reached.UP)
