"""The calls: a PPP link on each L2TP session, AAA's decisions, and the network they open.

How a call goes. SessionOpened begins it; its PPP link asks the peer for a proof, `Aaa` decides
and leases the address at once, so that a full pool is an answer to the login and no silence
afterwards; when IPCP opens, the data plane gets its record and the kernel a route. Where there is
IPv6, IPV6CP opening adds the session's prefix to both, before or after. Whoever ends it, the end
is one: the link tells why, the session is closed by a CDN unless it is gone, and only when the
LNS reports it closed is the call forgotten and its address free.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from ipaddress import IPv6Network
from math import ceil

from aaa import (
    Aaa,
    Accepted,
    Decided,
    EapKept,
    Lease,
    MsChapError,
    NoAddress,
    PasswordChangeRequested,
    RadiusAsked,
    Rejected,
)
from aaa.radius.access import Authorization
from aaa.radius.constants import AcctTerminateCause
from aaa.radius.eap import Challenge
from aaa.remote import is_late
from l2gate import events, mending
from l2gate.accounting import port_of
from l2gate.attempts import follow_call
from l2gate.calls import CAUSES, RESULTS, Call, CallState, End, client_facts, ends_of, within
from l2gate.events import Event, Fact, Happening, Stage
from l2gate.history import Attempt, Mend
from l2gate.peers import Flow, Peer
from l2gate.radius import Radius
from l2gate.records import Tables
from l2gate.register import Register, why_not
from l2gate.routing import Routing
from l2gate.state import AddressTaken, Beginning, StateError, TooManySessions
from l2tp.constants import CallResult
from l2tp.events import SessionClosed, SessionOpened
from l2tp.lns import Lns
from ppp import events as ppp
from ppp.config import Assignment, LinkConfig, Method
from ppp.link import Link
from ppp.router import MINIMUM_MTU
from wire import Deadlines, Entropy

OPENING = 120.0
"""Seconds from the start of a call, or the loss of its network, until its network must be open.
The link's own limits for LCP and authentication are shorter."""

NO_ADDRESS = "no address is free, please call your administrator"


class Switchboard:
    """All calls of a server. Bounded by the LNS's limit on sessions."""

    def __init__(
        self,
        lns: Lns,
        aaa: Aaa,
        tables: Tables,
        links: LinkConfig,
        mtu: int,
        entropy: Entropy,
        tell: Callable[[Event], None],
        radius: Radius,
        register: Register | None = None,
    ) -> None:
        """`mtu` is the most that is sent to any peer, in octets; `tell` takes the events.

        `register` is there where sessions survive; then a login waits for it (see `begun`).
        """
        self._lns = lns
        self._aaa = aaa
        self._routing = Routing(tables, aaa, mtu, tell)
        self._links = links
        self._entropy = entropy
        self._tell = tell
        self._radius = radius
        self.register = register
        self._calls: dict[Hashable, Call] = {}
        self._deadlines: Deadlines[int] = Deadlines()
        self._opening: Deadlines[int] = Deadlines()
        self._expiring: Deadlines[int] = Deadlines()
        self._asking: Deadlines[int] = Deadlines()
        self._asked: dict[int, ppp.AuthenticationRequested] = {}
        self._touched: set[int] = set()

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    def get(self, session: int) -> Call | None:
        """Return the call of one of our session ids, or None."""
        return self._calls.get(session)

    # What happens to a call

    def open(
        self,
        event: SessionOpened,
        peer: Peer,
        flow: Flow,
        host: str,
        attempt: Attempt,
        now: float,
    ) -> None:
        """Begin a call; `host` is the peer's L2TP host name, `attempt` the peer's record."""
        links, mru = self._links, within(peer, self._links.mru)
        link = Link(links if mru == links.mru else replace(links, mru=mru), self._entropy)
        accounting_id = self._radius.accounting.new_id()
        call = Call(event, flow, peer, host, attempt, link, now, accounting_id)
        self._calls[event.session] = call
        attempt.call()
        link.start(now)
        self._opening.set(event.session, now + OPENING)
        self._touched.add(event.session)

    def receive(self, session: int, frame: bytes, now: float) -> None:
        """Take a PPP frame of a session."""
        call = self._calls.get(session)
        if call is not None:
            call.link.receive(frame, now)
            self._touched.add(session)

    def terminate(
        self,
        call: Call,
        why: str,
        now: float,
        cause: AcctTerminateCause = AcctTerminateCause.NAS_REQUEST,
    ) -> None:
        """End a call the polite way, beginning with an LCP Terminate-Request."""
        call.why, call.cause = call.why or why, call.cause or cause
        call.link.terminate(why, now)
        self._touched.add(call.session)

    def drop(self, call: Call, why: str, now: float) -> None:
        """End a call whose peer is known to be gone: nothing needs to be said to it on PPP."""
        call.why = call.why or why
        self._lns.close_session(call.session, CallResult.ADMINISTRATIVE, message=why, now=now)

    def closed(self, event: SessionClosed, now: float) -> bool:
        """Forget a call whose L2TP session has ended; return whether the peer wished it."""
        call = self._calls.pop(event.session, None)
        if call is None:
            return event.by_peer
        self._close_network(call, now)
        self._deadlines.clear(event.session)
        self._opening.clear(event.session)
        self._expiring.clear(event.session)
        self._asking.clear(event.session)
        self._asked.pop(event.session, None)
        self._touched.discard(event.session)
        self._aaa.release(event.session)
        self._radius.cancel(event.session, now)
        if event.by_peer:
            call.cause = call.cause or AcctTerminateCause.USER_REQUEST
        why, traffic, carried = call.why or event.why, "", call.carried()
        if call.record is not None:
            traffic = f", {carried.octets_in} octets from the client, {carried.octets_out} to it"
        mend = call.mend
        if call.record is None and not call.attempt.why:
            mend = mend or Mend(mending.ASK_THE_CLIENT)
        self._end_session(call, why, call.cause or AcctTerminateCause.LOST_CARRIER, now)
        text = f"ended after {now - call.since:.0f} s: {why}{traffic}"
        stage, what = Stage.SESSION if call.user else Stage.PPP, Happening.CALL_ENDED
        facts: dict[str, Fact] = {"why": why, "duration": now - call.since}
        if call.record is not None:
            what = Happening.SESSION_ENDED
            facts |= call.facts_of_end()
        self._note(call, stage, text, mend, what, **facts)
        call.attempt.call_ended(why, carried.octets_in, carried.octets_out, now)
        return event.by_peer or call.peer_hung_up

    # Time

    def next_timeout(self) -> float | None:
        """Return when something is due, or None."""
        timers = (self._deadlines, self._opening, self._asking, self._expiring)
        moments = [timer.next() for timer in timers]
        return min((moment for moment in moments if moment is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Let the links do what is due; end the calls whose peers leave them half open."""
        for session in self._opening.take_due(now):
            why = f"no network within {OPENING:.0f} s: the peer does not finish IPCP"
            call = self._calls[session]
            call.mend = mending.NO_NETWORK
            self.terminate(call, why, now)
        for session in self._expiring.take_due(now):
            self._watch(self._calls[session], now)
        for session in self._asking.take_due(now):
            self._ask(self._calls[session], self._asked.pop(session))
        for session in self._deadlines.take_due(now):
            call = self._calls[session]
            if call.has_sent():
                call.link.peer_is_alive()
            call.link.handle_timeout(now)
            self._touched.add(session)

    def watch(self, now: float) -> None:
        """Take it that other things are allowed than before, and for other times."""
        for call in self:
            self._watch(call, now)
            self._routing.limit(call)

    def open_calls(self) -> list[Call]:
        """Return the calls whose user is logged in, and that do not end yet."""
        return [call for call in self if call.user and call.state is not CallState.CLOSING]

    def change(self, call: Call, granted: Authorization, now: float) -> None:
        """Let a call have other times, counted from now, or rates; None changes nothing."""
        if granted.session_timeout:
            lasted = ceil(now - call.accepted)
            granted = replace(granted, session_timeout=lasted + granted.session_timeout)
        if granted.idle_timeout:
            call.quiet(now)
            call.quiet_since = now
        self._aaa.change(call.session, granted)
        self._watch(call, now)
        self._routing.limit(call)

    def _watch(self, call: Call, now: float) -> None:
        """End a call whose time is over, or look again when it may be."""
        if not call.user:
            return
        ends = ends_of(call, self._aaa.policy(call.session), now)
        if (known := self._aaa.time_left(call.session)) is not None:
            ends.append(End(*known))
        first = min(ends, key=lambda end: end.left, default=None)
        if first is None:
            self._expiring.clear(call.session)
        elif first.left > 0:
            self._expiring.set(call.session, now + first.left)
        else:
            self.terminate(call, first.why, now, first.cause)

    # What the links say

    def settle(self, now: float) -> bool:
        """Carry what links and AAA have to say; return whether there was anything."""
        busy = bool(self._touched)
        while self._touched:
            call = self._calls.get(self._touched.pop())
            if call is not None:
                self._drain(call, now)
        while (answered := self._radius.next_answer()) is not None:
            busy = True
            session, request, answer = answered
            if isinstance(answer, Challenge):
                self._challenge(session, request, answer, now)
            else:
                self._aaa.answered(session, request, answer)
        while (decided := self._aaa.next_event()) is not None:
            busy = True
            match decided:
                case PasswordChangeRequested():
                    self._change_password(decided)
                case RadiusAsked():
                    self._ask_radius(decided, now)
                case EapKept():
                    self._keep(decided, now)
                case Decided():
                    self._decide(decided, now)
        return busy

    def _drain(self, call: Call, now: float) -> None:
        link = call.link
        while (event := link.next_event()) is not None:
            self._on_link_event(call, event, now)
        for frame in link.frames_to_send():
            self._lns.send(call.session, frame, call.next_ns())
        if call.session in self._calls:
            when = link.next_timeout()
            if when is None:
                self._deadlines.clear(call.session)
            else:
                self._deadlines.set(call.session, when)

    def _on_link_event(self, call: Call, event: ppp.Event, now: float) -> None:
        match event:
            case ppp.AuthenticationRequested():
                call.login, call.method = event.proof.name, event.proof.method
                delay = self._aaa.delay(call.login, client_facts(call))
                if delay and not is_late(event.proof):
                    self._asked[call.session] = event
                    self._asking.set(call.session, now + delay)
                else:
                    self._ask(call, event)
            case ppp.Authenticated():
                if call.department is not None and call.lease is not None:
                    department = call.department
                    call.link.assign(
                        Assignment(
                            call.lease.address,
                            department.gateway,
                            department.dns,
                            department.wins,
                            department.routes,
                            department.search_domains,
                            call.prefix,
                            department.gateway6,
                            department.dns6,
                            department.routes6,
                        ),
                        now,
                    )
            case ppp.NetworkOpened():
                self._open_network(call, event, now)
            case ppp.NetworkClosed():
                self._close_network(call, now)
            case ppp.Ipv6Opened():
                call.is_ipv6_open = True
                self._open_ipv6(call)
            case ppp.Ipv6Closed():
                call.is_ipv6_open = False
                self._routing.close_ipv6(call)
            case ppp.LinkClosed():
                self._link_closed(call, event, now)
            case ppp.LinkOpened():
                pass
        follow_call(call, event)

    def _ask(self, call: Call, event: ppp.AuthenticationRequested) -> None:
        self._aaa.request(
            call.session, event.request, event.proof.name, event.proof, client_facts(call)
        )

    def _ask_radius(self, asked: RadiusAsked, now: float) -> None:
        """Ask; a call that waits for RADIUS servers is not to blame for it."""
        call = self._calls.get(asked.session)
        if call is None:
            self._aaa.release(asked.session)
            return
        self._opening.clear(call.session)
        self._hand_over(call, asked.name, now)
        self._radius.ask(asked, port_of(call), now)

    def _challenge(self, session: Hashable, request: int, answer: Challenge, now: float) -> None:
        """Ask a peer on, as a RADIUS server wishes."""
        call = self._calls.get(session)
        if call is not None:
            call.link.relay(request, answer.packet, answer.interval, answer.is_ignored, now)
            self._touched.add(call.session)

    def _keep(self, kept: EapKept, now: float) -> None:
        call = self._calls.get(kept.session)
        if call is not None:
            call.link.go_on_here(kept.request, now)
            self._touched.add(call.session)

    def _decide(self, decided: Decided, now: float) -> None:
        call = self._calls.get(decided.session)
        if call is None:
            self._aaa.release(decided.session)
            return
        if call.session not in self._opening and not call.is_open:
            self._opening.set(call.session, now + OPENING)
        match decided.decision:
            case Accepted() as accepted:
                self._accept(call, decided.request, accepted, now)
            case Rejected() as rejected:
                self._refuse(call, decided.request, rejected, now)
        self._touched.add(call.session)

    def _refuse(self, call: Call, request: int, rejected: Rejected, now: float) -> None:
        text = f"{call.method} login refused: {rejected.reason.value}"
        mend = Mend(rejected.hint, int(rejected.ms_chap_error))
        self._note_refusal(call, text, mend, rejected.reason.value)
        call.why = f"login refused: {rejected.reason.value}"
        if rejected.is_tacit:
            call.link.terminate(rejected.message, now)
        else:
            call.link.rejected(request, rejected.ms_chap_error, rejected.message, now)

    def _change_password(self, event: PasswordChangeRequested) -> None:
        call = self._calls.get(event.session)
        if call is not None:
            self._note(call, Stage.LOGIN, f"{call.method} login with a new password")
            self._tell(
                events.PasswordChangeRequested(
                    call.session, event.request, event.user, event.password
                )
            )

    def _accept(self, call: Call, request: int, accepted: Accepted, now: float) -> None:
        replaced = self._calls.get(accepted.replaces)
        if replaced is not None:
            self._close_network(replaced, now)
            self.drop(replaced, accepted.why_replaced, now)
        self._hand_over(call, accepted.user.name, now)
        call.authorization, call.owner = accepted.authorization, accepted.user.name
        self._lease(call, request, accepted, self._aaa.lease, now)

    def _hand_over(self, call: Call, name: str, now: float) -> None:
        """Begin another session where it is not its owner who logs in on a call (again)."""
        if call.owner not in ("", name):
            cause, why = (
                AcctTerminateCause.USER_REQUEST,
                "the client has logged in as somebody else",
            )
            self._end_session(call, why, cause, now)
            if call.record is not None:
                facts = call.facts_of_end() | {"why": why, "duration": now - call.since}
                self._note(call, Stage.SESSION, why, None, Happening.SESSION_ENDED, **facts)
            call.next_session(self._radius.accounting.new_id())

    def _end_session(self, call: Call, why: str, cause: AcctTerminateCause, now: float) -> None:
        self._radius.accounting.closed(call, cause, now)
        if self.register is not None:
            self.register.ended(call, why, cause)

    def _lease(
        self,
        call: Call,
        request: int,
        accepted: Accepted,
        lease: Callable[[Hashable], Lease],
        now: float,
    ) -> None:
        """Give a call an address, and admit it; where there is a register, ask that first."""
        try:
            call.lease = lease(call.session)
        except NoAddress as error:
            shown = MsChapError.NO_DIALIN_PERMISSION
            mend = Mend(error.mend, int(shown))
            self._note_refusal(call, f"no address: {error.why}", mend, f"no address: {error.why}")
            call.why, call.result = f"no address: {error.why}", CallResult.NO_FACILITIES_NOW
            call.link.rejected(request, shown, NO_ADDRESS, now)
            return
        if self.register is None:
            self._admit(call, request, accepted, call.lease, now)
        else:
            self.register.begin(call, request, accepted)

    def begun(
        self,
        session: int,
        beginning: Beginning,
        answer: AddressTaken | TooManySessions | StateError | None,
        now: float,
    ) -> None:
        """Go on with a login that waits for the register (see Gateway.begun)."""
        call = self._calls.get(session)
        login = None if self.register is None else self.register.answered(session, beginning)
        if call is None or call.lease is None or login is None or call.state is CallState.CLOSING:
            return
        request, accepted = login.request, login.accepted
        match answer:
            case None:
                self._admit(call, request, accepted, call.lease, now)
            case AddressTaken():
                self._lease(call, request, accepted, self._aaa.lease_other, now)
            case TooManySessions() | StateError():
                self._aaa.release(session)
                call.lease = None
                self._refuse(call, request, why_not(beginning.login, answer), now)
        self._touched.add(session)

    def _admit(
        self, call: Call, request: int, accepted: Accepted, lease: Lease, now: float
    ) -> None:
        call.user, call.department, call.why = accepted.user.name, accepted.department, ""
        call.prefix, call.routes = self._lease_prefix(call), accepted.user.routes
        call.accepted = call.quiet_since = now
        self._watch(call, now)
        self._routing.limit(call)
        if call.authorization is not None and call.authorization.filter_id is not None:
            self._note(call, Stage.LOGIN, "of what RADIUS grants, Filter-Id has no effect here")
        if call.method == Method.EAP.value and not accepted.reply:
            text = "the Accept of RADIUS has no EAP-Success: the client may not know that it is in"
            self._note(call, Stage.LOGIN, text)
        department, address = accepted.department.name, str(lease.address)
        self._note(
            call,
            Stage.LOGIN,
            f"{call.method} login accepted: address {address} of department {department}",
            happening=Happening.LOGIN_ACCEPTED,
            method=call.method,
            id=call.accounting_id,
            department=department,
            address=address,
            prefix=str(call.prefix or ""),
        )
        call.link.authenticated(request, accepted.reply, now)

    def _lease_prefix(self, call: Call) -> IPv6Network | None:
        """Return the IPv6 prefix of a call; without one it goes on with IPv4 alone."""
        if self._routing.mtu_of(call) < MINIMUM_MTU:
            return None
        try:
            return self._aaa.lease_prefix(call.session)
        except NoAddress as error:
            self._note(call, Stage.LOGIN, f"no IPv6: {error.why}", Mend(error.mend))
            return None

    def _open_network(self, call: Call, event: ppp.NetworkOpened, now: float) -> None:
        if call.department is None or call.lease is None:
            return
        call.record = self._routing.open(call, event)
        call.state = CallState.OPEN
        self._opening.clear(call.session)
        if self.register is not None:
            self.register.opened(call)
        self._radius.accounting.opened(call, now)
        behind = "".join(f", {network} behind it" for network in call.routes)
        self._note(
            call,
            Stage.SESSION,
            f"open, address {call.lease.address} of department {call.department.name}, "
            f"MTU {call.record.mtu}, logged in by {call.method}{behind}",
            happening=Happening.SESSION_OPENED,
            id=call.accounting_id,
            address=str(call.lease.address),
            department=call.department.name,
            interface=call.record.interface,
            mtu=call.record.mtu,
        )
        self._open_ipv6(call)

    def _open_ipv6(self, call: Call) -> None:
        """Let IPv6 flow, once IPCP is open too."""
        if call.is_open and call.is_ipv6_open and self._routing.open_ipv6(call):
            self._note(call, Stage.SESSION, f"IPv6 open, prefix {call.prefix}")

    def _close_network(self, call: Call, now: float) -> None:
        if call.state is CallState.OPEN:
            self._routing.close(call)
            call.state = CallState.NEGOTIATING
            self._opening.set(call.session, now + OPENING)

    def _link_closed(self, call: Call, event: ppp.LinkClosed, now: float) -> None:
        if not (call.why or (call.is_open and event.by_peer)):
            call.mend = mending.link(event)
        self._close_network(call, now)
        call.state = CallState.CLOSING
        call.why = call.why or event.why
        call.peer_hung_up = event.by_peer
        call.cause = call.cause or CAUSES.get(event.reason, AcctTerminateCause.LOST_CARRIER)
        result = RESULTS.get(event.reason, call.result)
        self._lns.close_session(call.session, result, message=event.why, now=now)

    def _note_refusal(self, call: Call, text: str, mend: Mend, why: str) -> None:
        what = Happening.LOGIN_REFUSED
        self._note(call, Stage.LOGIN, text, mend, what, method=call.method, why=why)

    def _note(
        self,
        call: Call,
        stage: Stage,
        text: str,
        mend: Mend | None = None,
        happening: Happening = Happening.NOTED,
        **facts: Fact,
    ) -> None:
        """Tell what happened to a call; with `mend` it is trouble."""
        user = call.user or call.login
        self._tell(call.attempt.noted(stage, text, mend, call.session, user, happening, **facts))
