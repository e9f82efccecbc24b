"""The option negotiation automaton of RFC 1661 as data: states, events, actions, transitions.

How this works: the table of section 4.1 has a column for each state and a row for each event; a
cell "irc,scr/6" is here `(Event.UP, State.STARTING): ((Action.IRC, Action.SCR), State.REQ_SENT)`.
Rows and columns have the RFC's order. A cell that the RFC leaves as "-" is missing here: such an
event cannot occur in that state, unless our own code is wrong. Of the options that the table
leaves open, [p] (wait passively) and [r] (restart) are not used; [x] (crossed connection) does
not occur, because an answer to no outstanding request is not an event (section 5.2).
"""

from enum import Enum


class State(Enum):
    """Section 4.2, with the RFC's numbers."""

    INITIAL = 0
    STARTING = 1
    CLOSED = 2
    STOPPED = 3
    CLOSING = 4
    STOPPING = 5
    REQ_SENT = 6
    ACK_RCVD = 7
    ACK_SENT = 8
    OPENED = 9


class Event(Enum):
    """Section 4.3."""

    UP = "lower layer is Up"
    DOWN = "lower layer is Down"
    OPEN = "administrative Open"
    CLOSE = "administrative Close"
    TO_PLUS = "Timeout with counter > 0"
    TO_MINUS = "Timeout with counter expired"
    RCR_PLUS = "Receive-Configure-Request (Good)"
    RCR_MINUS = "Receive-Configure-Request (Bad)"
    RCA = "Receive-Configure-Ack"
    RCN = "Receive-Configure-Nak/Rej"
    RTR = "Receive-Terminate-Request"
    RTA = "Receive-Terminate-Ack"
    RUC = "Receive-Unknown-Code"
    RXJ_PLUS = "Receive-Code-Reject or -Protocol-Reject (permitted)"
    RXJ_MINUS = "Receive-Code-Reject or -Protocol-Reject (catastrophic)"
    RXR = "Receive-Echo-Request, -Echo-Reply or -Discard-Request"


class Action(Enum):
    """Section 4.4."""

    TLU = "This-Layer-Up"
    TLD = "This-Layer-Down"
    TLS = "This-Layer-Started"
    TLF = "This-Layer-Finished"
    IRC = "Initialize-Restart-Count"
    ZRC = "Zero-Restart-Count"
    SCR = "Send-Configure-Request"
    SCA = "Send-Configure-Ack"
    SCN = "Send-Configure-Nak/Rej"
    STR = "Send-Terminate-Request"
    STA = "Send-Terminate-Ack"
    SCJ = "Send-Code-Reject"
    SER = "Send-Echo-Reply"


TRANSITIONS: dict[tuple[Event, State], tuple[tuple[Action, ...], State]] = {
    (Event.UP, State.INITIAL): ((), State.CLOSED),
    (Event.UP, State.STARTING): ((Action.IRC, Action.SCR), State.REQ_SENT),
    (Event.DOWN, State.CLOSED): ((), State.INITIAL),
    (Event.DOWN, State.STOPPED): ((Action.TLS,), State.STARTING),
    (Event.DOWN, State.CLOSING): ((), State.INITIAL),
    (Event.DOWN, State.STOPPING): ((), State.STARTING),
    (Event.DOWN, State.REQ_SENT): ((), State.STARTING),
    (Event.DOWN, State.ACK_RCVD): ((), State.STARTING),
    (Event.DOWN, State.ACK_SENT): ((), State.STARTING),
    (Event.DOWN, State.OPENED): ((Action.TLD,), State.STARTING),
    (Event.OPEN, State.INITIAL): ((Action.TLS,), State.STARTING),
    (Event.OPEN, State.STARTING): ((), State.STARTING),
    (Event.OPEN, State.CLOSED): ((Action.IRC, Action.SCR), State.REQ_SENT),
    (Event.OPEN, State.STOPPED): ((), State.STOPPED),
    (Event.OPEN, State.CLOSING): ((), State.STOPPING),
    (Event.OPEN, State.STOPPING): ((), State.STOPPING),
    (Event.OPEN, State.REQ_SENT): ((), State.REQ_SENT),
    (Event.OPEN, State.ACK_RCVD): ((), State.ACK_RCVD),
    (Event.OPEN, State.ACK_SENT): ((), State.ACK_SENT),
    (Event.OPEN, State.OPENED): ((), State.OPENED),
    (Event.CLOSE, State.INITIAL): ((), State.INITIAL),
    (Event.CLOSE, State.STARTING): ((Action.TLF,), State.INITIAL),
    (Event.CLOSE, State.CLOSED): ((), State.CLOSED),
    (Event.CLOSE, State.STOPPED): ((), State.CLOSED),
    (Event.CLOSE, State.CLOSING): ((), State.CLOSING),
    (Event.CLOSE, State.STOPPING): ((), State.CLOSING),
    (Event.CLOSE, State.REQ_SENT): ((Action.IRC, Action.STR), State.CLOSING),
    (Event.CLOSE, State.ACK_RCVD): ((Action.IRC, Action.STR), State.CLOSING),
    (Event.CLOSE, State.ACK_SENT): ((Action.IRC, Action.STR), State.CLOSING),
    (Event.CLOSE, State.OPENED): ((Action.TLD, Action.IRC, Action.STR), State.CLOSING),
    (Event.TO_PLUS, State.CLOSING): ((Action.STR,), State.CLOSING),
    (Event.TO_PLUS, State.STOPPING): ((Action.STR,), State.STOPPING),
    (Event.TO_PLUS, State.REQ_SENT): ((Action.SCR,), State.REQ_SENT),
    (Event.TO_PLUS, State.ACK_RCVD): ((Action.SCR,), State.REQ_SENT),
    (Event.TO_PLUS, State.ACK_SENT): ((Action.SCR,), State.ACK_SENT),
    (Event.TO_MINUS, State.CLOSING): ((Action.TLF,), State.CLOSED),
    (Event.TO_MINUS, State.STOPPING): ((Action.TLF,), State.STOPPED),
    (Event.TO_MINUS, State.REQ_SENT): ((Action.TLF,), State.STOPPED),
    (Event.TO_MINUS, State.ACK_RCVD): ((Action.TLF,), State.STOPPED),
    (Event.TO_MINUS, State.ACK_SENT): ((Action.TLF,), State.STOPPED),
    (Event.RCR_PLUS, State.CLOSED): ((Action.STA,), State.CLOSED),
    (Event.RCR_PLUS, State.STOPPED): ((Action.IRC, Action.SCR, Action.SCA), State.ACK_SENT),
    (Event.RCR_PLUS, State.CLOSING): ((), State.CLOSING),
    (Event.RCR_PLUS, State.STOPPING): ((), State.STOPPING),
    (Event.RCR_PLUS, State.REQ_SENT): ((Action.SCA,), State.ACK_SENT),
    (Event.RCR_PLUS, State.ACK_RCVD): ((Action.SCA, Action.TLU), State.OPENED),
    (Event.RCR_PLUS, State.ACK_SENT): ((Action.SCA,), State.ACK_SENT),
    (Event.RCR_PLUS, State.OPENED): ((Action.TLD, Action.SCR, Action.SCA), State.ACK_SENT),
    (Event.RCR_MINUS, State.CLOSED): ((Action.STA,), State.CLOSED),
    (Event.RCR_MINUS, State.STOPPED): ((Action.IRC, Action.SCR, Action.SCN), State.REQ_SENT),
    (Event.RCR_MINUS, State.CLOSING): ((), State.CLOSING),
    (Event.RCR_MINUS, State.STOPPING): ((), State.STOPPING),
    (Event.RCR_MINUS, State.REQ_SENT): ((Action.SCN,), State.REQ_SENT),
    (Event.RCR_MINUS, State.ACK_RCVD): ((Action.SCN,), State.ACK_RCVD),
    (Event.RCR_MINUS, State.ACK_SENT): ((Action.SCN,), State.REQ_SENT),
    (Event.RCR_MINUS, State.OPENED): ((Action.TLD, Action.SCR, Action.SCN), State.REQ_SENT),
    (Event.RCA, State.CLOSED): ((Action.STA,), State.CLOSED),
    (Event.RCA, State.STOPPED): ((Action.STA,), State.STOPPED),
    (Event.RCA, State.CLOSING): ((), State.CLOSING),
    (Event.RCA, State.STOPPING): ((), State.STOPPING),
    (Event.RCA, State.REQ_SENT): ((Action.IRC,), State.ACK_RCVD),
    (Event.RCA, State.ACK_RCVD): ((Action.SCR,), State.REQ_SENT),
    (Event.RCA, State.ACK_SENT): ((Action.IRC, Action.TLU), State.OPENED),
    (Event.RCA, State.OPENED): ((Action.TLD, Action.SCR), State.REQ_SENT),
    (Event.RCN, State.CLOSED): ((Action.STA,), State.CLOSED),
    (Event.RCN, State.STOPPED): ((Action.STA,), State.STOPPED),
    (Event.RCN, State.CLOSING): ((), State.CLOSING),
    (Event.RCN, State.STOPPING): ((), State.STOPPING),
    (Event.RCN, State.REQ_SENT): ((Action.IRC, Action.SCR), State.REQ_SENT),
    (Event.RCN, State.ACK_RCVD): ((Action.SCR,), State.REQ_SENT),
    (Event.RCN, State.ACK_SENT): ((Action.IRC, Action.SCR), State.ACK_SENT),
    (Event.RCN, State.OPENED): ((Action.TLD, Action.SCR), State.REQ_SENT),
    (Event.RTR, State.CLOSED): ((Action.STA,), State.CLOSED),
    (Event.RTR, State.STOPPED): ((Action.STA,), State.STOPPED),
    (Event.RTR, State.CLOSING): ((Action.STA,), State.CLOSING),
    (Event.RTR, State.STOPPING): ((Action.STA,), State.STOPPING),
    (Event.RTR, State.REQ_SENT): ((Action.STA,), State.REQ_SENT),
    (Event.RTR, State.ACK_RCVD): ((Action.STA,), State.REQ_SENT),
    (Event.RTR, State.ACK_SENT): ((Action.STA,), State.REQ_SENT),
    (Event.RTR, State.OPENED): ((Action.TLD, Action.ZRC, Action.STA), State.STOPPING),
    (Event.RTA, State.CLOSED): ((), State.CLOSED),
    (Event.RTA, State.STOPPED): ((), State.STOPPED),
    (Event.RTA, State.CLOSING): ((Action.TLF,), State.CLOSED),
    (Event.RTA, State.STOPPING): ((Action.TLF,), State.STOPPED),
    (Event.RTA, State.REQ_SENT): ((), State.REQ_SENT),
    (Event.RTA, State.ACK_RCVD): ((), State.REQ_SENT),
    (Event.RTA, State.ACK_SENT): ((), State.ACK_SENT),
    (Event.RTA, State.OPENED): ((Action.TLD, Action.SCR), State.REQ_SENT),
    (Event.RUC, State.CLOSED): ((Action.SCJ,), State.CLOSED),
    (Event.RUC, State.STOPPED): ((Action.SCJ,), State.STOPPED),
    (Event.RUC, State.CLOSING): ((Action.SCJ,), State.CLOSING),
    (Event.RUC, State.STOPPING): ((Action.SCJ,), State.STOPPING),
    (Event.RUC, State.REQ_SENT): ((Action.SCJ,), State.REQ_SENT),
    (Event.RUC, State.ACK_RCVD): ((Action.SCJ,), State.ACK_RCVD),
    (Event.RUC, State.ACK_SENT): ((Action.SCJ,), State.ACK_SENT),
    (Event.RUC, State.OPENED): ((Action.SCJ,), State.OPENED),
    (Event.RXJ_PLUS, State.CLOSED): ((), State.CLOSED),
    (Event.RXJ_PLUS, State.STOPPED): ((), State.STOPPED),
    (Event.RXJ_PLUS, State.CLOSING): ((), State.CLOSING),
    (Event.RXJ_PLUS, State.STOPPING): ((), State.STOPPING),
    (Event.RXJ_PLUS, State.REQ_SENT): ((), State.REQ_SENT),
    (Event.RXJ_PLUS, State.ACK_RCVD): ((), State.REQ_SENT),
    (Event.RXJ_PLUS, State.ACK_SENT): ((), State.ACK_SENT),
    (Event.RXJ_PLUS, State.OPENED): ((), State.OPENED),
    (Event.RXJ_MINUS, State.CLOSED): ((Action.TLF,), State.CLOSED),
    (Event.RXJ_MINUS, State.STOPPED): ((Action.TLF,), State.STOPPED),
    (Event.RXJ_MINUS, State.CLOSING): ((Action.TLF,), State.CLOSED),
    (Event.RXJ_MINUS, State.STOPPING): ((Action.TLF,), State.STOPPED),
    (Event.RXJ_MINUS, State.REQ_SENT): ((Action.TLF,), State.STOPPED),
    (Event.RXJ_MINUS, State.ACK_RCVD): ((Action.TLF,), State.STOPPED),
    (Event.RXJ_MINUS, State.ACK_SENT): ((Action.TLF,), State.STOPPED),
    (Event.RXJ_MINUS, State.OPENED): ((Action.TLD, Action.IRC, Action.STR), State.STOPPING),
    (Event.RXR, State.CLOSED): ((), State.CLOSED),
    (Event.RXR, State.STOPPED): ((), State.STOPPED),
    (Event.RXR, State.CLOSING): ((), State.CLOSING),
    (Event.RXR, State.STOPPING): ((), State.STOPPING),
    (Event.RXR, State.REQ_SENT): ((), State.REQ_SENT),
    (Event.RXR, State.ACK_RCVD): ((), State.ACK_RCVD),
    (Event.RXR, State.ACK_SENT): ((), State.ACK_SENT),
    (Event.RXR, State.OPENED): ((Action.SER,), State.OPENED),
}

TIMED = frozenset(state for event, state in TRANSITIONS if event is Event.TO_PLUS)
"""The states in which the Restart timer runs: those that have a Timeout (section 4.1)."""
