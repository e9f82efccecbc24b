"""What an admin can do about trouble, and which error number Windows shows its user.

The numbers are those of Microsoft's raserror.h. Windows counts by what it sees of us: 809, it
got no answer; 789, IPsec was refused; 628 to 734, PPP ended before the login; 691 and 646
to 649, the login was refused, which AAA itself says, as it says 709, the password was not
changed; 720, there was no address.
"""

from ipsec.aggressive_mode import AGGRESSIVE_MODE
from ipsec.events import NegotiationFailed
from ipsec.foreign import IKEV2
from l2gate.history import Mend, Reached
from l2tp.constants import CallResult, ErrorCode
from l2tp.events import Result, SessionRefused, TunnelRefused
from ppp.events import LinkClosed, Reason

NO_ANSWER = 809
"""The network connection could not be established: the server is not responding."""

IPSEC_REFUSED = 789
"""The security layer encountered a processing error during initial negotiations."""

LOGIN_REFUSED = 691
"""Access denied: name and password are not valid, or the method of authentication failed."""

TERMINATED = 628
"""The connection was terminated by the remote computer before it could be completed."""

NO_ADDRESS = 720
"""No PPP control protocols are configured: IPCP did not open."""

ASK_THE_CLIENT = "the client gave up by itself: see what it says"
NETWORK_LOST = "did the client lose its network or its power?"


LINK = {
    Reason.NO_ANSWER: Mend(NETWORK_LOST, 718),
    Reason.NOT_CONVERGED: Mend("set the PPP settings of the client back to its defaults", 732),
    Reason.METHODS_REFUSED: Mend(
        "allow one of the methods in ppp.authentication on the client "
        "(Windows: MS-CHAP v2), or add one that it has",
        734,
    ),
    Reason.AUTHENTICATION_FAILED: Mend(ASK_THE_CLIENT, LOGIN_REFUSED),
    Reason.AUTHENTICATION_TIMED_OUT: Mend("type name and password into the client", 718),
    Reason.ECHO_TIMED_OUT: Mend(NETWORK_LOST),
    Reason.PROTOCOL_REJECTED: Mend("switch IPv4 on in the client's profile", NO_ADDRESS),
    Reason.PEER_TERMINATED: Mend(ASK_THE_CLIENT),
}
"""What ends a PPP link and is trouble; of the last only where the network was not open yet."""

NO_NETWORK = Mend("set IPv4 of the client's profile to get its address from the server", NO_ADDRESS)

NOT_RENEWED = Mend("the client must renew its IPsec SAs before their lifetime is over: see its log")

_NO_ESP = Mend(
    "let IP protocol 50 through between client and server, or set ipsec.force_encapsulation",
    NO_ANSWER,
)
_NO_L2TP = Mend(
    "the IPsec of the client works, its L2TP does not start: see its log and its firewall",
    NO_ANSWER,
)

UNFINISHED = {
    Reached.QUICK_MODE: ("it asked for no SAs", Mend(ASK_THE_CLIENT, IPSEC_REFUSED)),
    Reached.CALL: ("its tunnel had no session", Mend(ASK_THE_CLIENT, TERMINATED)),
}
"""A peer that is gone before its network was open, and nothing else is known: what was missing.
Where PPP has begun it is that the client did not wait for it."""


def unfinished(stage: Reached, esp_came: bool, encapsulated: bool) -> tuple[str, Mend]:
    """Say what was missing when a peer went, which nothing had been wrong with before."""
    if stage is Reached.TUNNEL and not esp_came:
        return "no ESP packet came", _NO_L2TP if encapsulated else _NO_ESP
    if stage is Reached.TUNNEL:
        return "no tunnel was established", _NO_L2TP
    return UNFINISHED.get(stage, (f"it did not finish {stage}", Mend(ASK_THE_CLIENT)))


def link(event: LinkClosed) -> Mend | None:
    """Say what to do about a PPP link that was closed, or None where that is no trouble."""
    mend = LINK.get(event.reason)
    return mend._replace(text=event.hint) if mend and event.hint else mend


_WINDOWS = {AGGRESSIVE_MODE: None, IKEV2: NO_ANSWER}
"""Windows has no aggressive mode, and speaks of 789 where it tries L2TP alone."""


def negotiation(event: NegotiationFailed) -> Mend:
    """Say what to do about IKE that failed."""
    hint = event.hint or (NETWORK_LOST if event.timed_out else ASK_THE_CLIENT)
    refused = NO_ANSWER if event.timed_out else IPSEC_REFUSED
    return Mend(hint, _WINDOWS.get(event.stage, refused))


def refusal(event: TunnelRefused | SessionRefused) -> Mend:
    """Say what to do about an L2TP tunnel or session that did not come about."""
    result = event.result
    if result is None and not event.by_peer:
        return Mend(NETWORK_LOST, NO_ANSWER)
    if result is not None and not event.by_peer and _is_full(result):
        return Mend("docs/limits.md says how many there can be", TERMINATED)
    return Mend(ASK_THE_CLIENT, None if event.by_peer else TERMINATED)


def _is_full(result: Result) -> bool:
    no_room = result.result is CallResult.NO_FACILITIES_NOW
    return no_room or result.error is ErrorCode.NO_RESOURCES
