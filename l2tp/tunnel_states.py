"""The state machine of a control connection (RFC 2661 section 7.2.1).

How this works
--------------
The originator sends SCCRQ, the recipient answers with SCCRP, the originator with SCCCN; then
the tunnel is established and carries calls. HELLO checks that the peer is still there: it is a
message like any other, and a tunnel whose messages are not acknowledged is given up. StopCCN
ends the tunnel and all its sessions, and nobody answers it.

TRANSITIONS is the table of section 7.2.1, with three remarks:

* What it calls "not acceptable" is one event, whatever the message: an AVP that has the M bit
  and is unknown or wrong, a version or an authentication that fails, a call before the tunnel
  is established.
* A tunnel that has ended is "stopped", not "idle" again, because reliable delivery runs on for
  a retransmission cycle (sections 5.7 and 5.8). It acknowledges and retransmits, no more.
* An SCCRP or SCCCN for a tunnel that does not exist never gets here: the endpoint drops it,
  since a StopCCN would need state for a stranger.
"""

from enum import Enum, auto

from l2tp.constants import MessageType


class State(Enum):
    """States of section 7.2.1, and `STOPPED`."""

    IDLE = "idle"
    WAIT_CTL_REPLY = "wait-ctl-reply"
    WAIT_CTL_CONN = "wait-ctl-conn"
    ESTABLISHED = "established"
    STOPPED = "stopped"


class TunnelEvent(Enum):
    """What can happen to a control connection."""

    OPEN = "a local open request"
    SCCRQ = MessageType.SCCRQ
    SCCRP = MessageType.SCCRP
    SCCCN = MessageType.SCCCN
    StopCCN = MessageType.StopCCN
    NOT_ACCEPTABLE = "a message that is not acceptable"
    LOSE_TIE = "the peer's tie breaker wins"
    EQUAL_TIE = "both tie breakers are equal"
    CLOSE = "a local close request"


class Action(Enum):
    """What a control connection does about it."""

    NOTHING = auto()
    SEND_SCCRQ = auto()
    SEND_SCCRP = auto()
    SEND_SCCCN = auto()
    TUNNEL_OPEN = auto()
    SEND_STOPCCN = auto()
    CLEAN_UP = auto()
    START_OVER = auto()


TRANSITIONS = {
    (State.IDLE, TunnelEvent.OPEN): (Action.SEND_SCCRQ, State.WAIT_CTL_REPLY),
    (State.IDLE, TunnelEvent.SCCRQ): (Action.SEND_SCCRP, State.WAIT_CTL_CONN),
    (State.IDLE, TunnelEvent.NOT_ACCEPTABLE): (Action.SEND_STOPCCN, State.STOPPED),
    (State.WAIT_CTL_REPLY, TunnelEvent.SCCRP): (Action.SEND_SCCCN, State.ESTABLISHED),
    (State.WAIT_CTL_REPLY, TunnelEvent.NOT_ACCEPTABLE): (Action.SEND_STOPCCN, State.STOPPED),
    (State.WAIT_CTL_REPLY, TunnelEvent.LOSE_TIE): (Action.START_OVER, State.IDLE),
    (State.WAIT_CTL_REPLY, TunnelEvent.EQUAL_TIE): (Action.CLEAN_UP, State.STOPPED),
    (State.WAIT_CTL_REPLY, TunnelEvent.SCCRQ): (Action.SEND_STOPCCN, State.STOPPED),
    (State.WAIT_CTL_REPLY, TunnelEvent.SCCCN): (Action.SEND_STOPCCN, State.STOPPED),
    (State.WAIT_CTL_CONN, TunnelEvent.SCCCN): (Action.TUNNEL_OPEN, State.ESTABLISHED),
    (State.WAIT_CTL_CONN, TunnelEvent.NOT_ACCEPTABLE): (Action.SEND_STOPCCN, State.STOPPED),
    (State.WAIT_CTL_CONN, TunnelEvent.SCCRP): (Action.SEND_STOPCCN, State.STOPPED),
    (State.WAIT_CTL_CONN, TunnelEvent.SCCRQ): (Action.SEND_STOPCCN, State.STOPPED),
    (State.ESTABLISHED, TunnelEvent.OPEN): (Action.TUNNEL_OPEN, State.ESTABLISHED),
    (State.ESTABLISHED, TunnelEvent.CLOSE): (Action.SEND_STOPCCN, State.STOPPED),
    (State.ESTABLISHED, TunnelEvent.SCCRQ): (Action.SEND_STOPCCN, State.STOPPED),
    (State.ESTABLISHED, TunnelEvent.SCCRP): (Action.SEND_STOPCCN, State.STOPPED),
    (State.ESTABLISHED, TunnelEvent.SCCCN): (Action.SEND_STOPCCN, State.STOPPED),
    (State.IDLE, TunnelEvent.StopCCN): (Action.CLEAN_UP, State.STOPPED),
    (State.WAIT_CTL_REPLY, TunnelEvent.StopCCN): (Action.CLEAN_UP, State.STOPPED),
    (State.WAIT_CTL_CONN, TunnelEvent.StopCCN): (Action.CLEAN_UP, State.STOPPED),
    (State.ESTABLISHED, TunnelEvent.StopCCN): (Action.CLEAN_UP, State.STOPPED),
    # An end by AVP, time limit or admin that the RFC's table leaves to its text:
    (State.ESTABLISHED, TunnelEvent.NOT_ACCEPTABLE): (Action.SEND_STOPCCN, State.STOPPED),
    (State.WAIT_CTL_REPLY, TunnelEvent.CLOSE): (Action.SEND_STOPCCN, State.STOPPED),
    (State.WAIT_CTL_CONN, TunnelEvent.CLOSE): (Action.SEND_STOPCCN, State.STOPPED),
}
EVENTS = {event.value: event for event in TunnelEvent if isinstance(event.value, MessageType)}
"""Which event the arrival of a message is; HELLO is none."""
