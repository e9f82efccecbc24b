"""The state machines of an incoming call, as LAC and as LNS (RFC 2661 section 7.4).

How this works
--------------
The LAC asks with ICRQ, the LNS answers with ICRP, the LAC reports with ICCN that the call is
connected; then PPP frames flow. Either end disconnects with CDN, which nobody answers.

The tables below are those of sections 7.4.1 and 7.4.2. Three things are simpler than there:

* What the tables call "not acceptable" is one event, whatever the message: an AVP that has the
  M bit and is unknown or wrong, or a limit that is reached.
* Nobody here places telephone calls, so an OCRQ is never acceptable and gets its CDN
  (7.5.1), and an OCRP or OCCN answers nothing that we sent (7.5.2).
* A message that is in no row of its state ends the call with a CDN.

A session that has returned to idle is forgotten.
"""

from enum import Enum, auto

from l2tp.constants import MessageType
from l2tp.role import Role


class State(Enum):
    """States of sections 7.4.1 and 7.4.2."""

    IDLE = "idle"
    WAIT_TUNNEL = "wait-tunnel"
    WAIT_REPLY = "wait-reply"
    WAIT_CONNECT = "wait-connect"
    ESTABLISHED = "established"


class CallEvent(Enum):
    """What can happen to a session."""

    INCOMING_CALL = "an incoming call"
    TUNNEL_OPEN = "tunnel-open"
    ICRQ = MessageType.ICRQ
    ICRP = MessageType.ICRP
    ICCN = MessageType.ICCN
    CDN = MessageType.CDN
    OCRQ = MessageType.OCRQ
    OCRP = MessageType.OCRP
    OCCN = MessageType.OCCN
    NOT_ACCEPTABLE = "a message that is not acceptable"
    CLOSE = "a local close request"


class Action(Enum):
    """What a session does about it."""

    AWAIT_TUNNEL = auto()
    SEND_ICRQ = auto()
    SEND_ICRP = auto()
    SEND_ICCN = auto()
    PREPARE_FOR_DATA = auto()
    SEND_CDN = auto()
    CLEAN_UP = auto()


LAC_INCOMING_CALL = {
    (State.IDLE, CallEvent.INCOMING_CALL): (Action.AWAIT_TUNNEL, State.WAIT_TUNNEL),
    (State.IDLE, CallEvent.ICCN): (Action.CLEAN_UP, State.IDLE),
    (State.IDLE, CallEvent.ICRP): (Action.CLEAN_UP, State.IDLE),
    (State.IDLE, CallEvent.CDN): (Action.CLEAN_UP, State.IDLE),
    (State.IDLE, CallEvent.OCRQ): (Action.SEND_CDN, State.IDLE),
    (State.IDLE, CallEvent.OCRP): (Action.SEND_CDN, State.IDLE),
    (State.IDLE, CallEvent.OCCN): (Action.CLEAN_UP, State.IDLE),
    (State.WAIT_TUNNEL, CallEvent.CLOSE): (Action.CLEAN_UP, State.IDLE),
    (State.WAIT_TUNNEL, CallEvent.TUNNEL_OPEN): (Action.SEND_ICRQ, State.WAIT_REPLY),
    (State.WAIT_REPLY, CallEvent.ICRP): (Action.SEND_ICCN, State.ESTABLISHED),
    (State.WAIT_REPLY, CallEvent.NOT_ACCEPTABLE): (Action.SEND_CDN, State.IDLE),
    (State.WAIT_REPLY, CallEvent.ICRQ): (Action.SEND_CDN, State.IDLE),
    (State.WAIT_REPLY, CallEvent.CDN): (Action.CLEAN_UP, State.IDLE),
    (State.WAIT_REPLY, CallEvent.ICCN): (Action.CLEAN_UP, State.IDLE),
    (State.WAIT_REPLY, CallEvent.CLOSE): (Action.SEND_CDN, State.IDLE),
    (State.ESTABLISHED, CallEvent.CDN): (Action.CLEAN_UP, State.IDLE),
    (State.ESTABLISHED, CallEvent.ICRQ): (Action.SEND_CDN, State.IDLE),
    (State.ESTABLISHED, CallEvent.ICRP): (Action.SEND_CDN, State.IDLE),
    (State.ESTABLISHED, CallEvent.ICCN): (Action.SEND_CDN, State.IDLE),
    (State.ESTABLISHED, CallEvent.CLOSE): (Action.SEND_CDN, State.IDLE),
}

LNS_INCOMING_CALL = {
    (State.IDLE, CallEvent.ICRQ): (Action.SEND_ICRP, State.WAIT_CONNECT),
    (State.IDLE, CallEvent.NOT_ACCEPTABLE): (Action.SEND_CDN, State.IDLE),
    (State.IDLE, CallEvent.ICRP): (Action.SEND_CDN, State.IDLE),
    (State.IDLE, CallEvent.ICCN): (Action.CLEAN_UP, State.IDLE),
    (State.IDLE, CallEvent.OCRQ): (Action.SEND_CDN, State.IDLE),
    (State.IDLE, CallEvent.OCRP): (Action.CLEAN_UP, State.IDLE),
    (State.IDLE, CallEvent.OCCN): (Action.CLEAN_UP, State.IDLE),
    (State.WAIT_CONNECT, CallEvent.ICCN): (Action.PREPARE_FOR_DATA, State.ESTABLISHED),
    (State.WAIT_CONNECT, CallEvent.NOT_ACCEPTABLE): (Action.SEND_CDN, State.IDLE),
    (State.WAIT_CONNECT, CallEvent.ICRQ): (Action.SEND_CDN, State.IDLE),
    (State.WAIT_CONNECT, CallEvent.ICRP): (Action.SEND_CDN, State.IDLE),
    (State.IDLE, CallEvent.CDN): (Action.CLEAN_UP, State.IDLE),
    (State.WAIT_CONNECT, CallEvent.CDN): (Action.CLEAN_UP, State.IDLE),
    (State.ESTABLISHED, CallEvent.CDN): (Action.CLEAN_UP, State.IDLE),
    (State.WAIT_CONNECT, CallEvent.CLOSE): (Action.SEND_CDN, State.IDLE),
    (State.ESTABLISHED, CallEvent.CLOSE): (Action.SEND_CDN, State.IDLE),
    (State.ESTABLISHED, CallEvent.ICRQ): (Action.SEND_CDN, State.IDLE),
    (State.ESTABLISHED, CallEvent.ICRP): (Action.SEND_CDN, State.IDLE),
    (State.ESTABLISHED, CallEvent.ICCN): (Action.SEND_CDN, State.IDLE),
}

TRANSITIONS = {Role.LAC: LAC_INCOMING_CALL, Role.LNS: LNS_INCOMING_CALL}
ANY_OTHER = (Action.SEND_CDN, State.IDLE)

EVENTS = {event.value: event for event in CallEvent if isinstance(event.value, MessageType)}
"""Which event the arrival of a message is; WEN and SLI are none."""
