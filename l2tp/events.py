"""What an LNS or LAC tells the program.

A tunnel or session that opened is closed exactly once; one that never opened is refused
exactly once, if it got as far as to have a line in the log. The sessions of a tunnel are
closed before it. `why` is a whole sentence for the log: who did it, what, and the likely cause.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

from l2tp.constants import CallResult, ErrorCode, ProxyAuthenType, StopResult

Flow = Hashable
"""What a datagram came through, chosen by the program and only ever compared: the IPsec peer
and the inner addresses and ports (RFC 3193 section 3.3)."""

TunnelId = int
"""Our id of a tunnel: 1..65535, unpredictable, unique in one LNS or LAC."""

SessionId = int
"""Our id of a session: 1..65535, unpredictable, unique in one LNS or LAC, not only in its
tunnel."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP payload to send through `flow`."""

    data: bytes
    flow: Flow


@dataclass(frozen=True, slots=True)
class Result:
    """A Result Code AVP as received or sent (RFC 2661 section 4.4.2).

    `result` is a StopResult or CallResult according to the message; `error` means something
    where it is GENERAL_ERROR (and the supported version with VERSION_NOT_SUPPORTED).
    """

    result: StopResult | CallResult
    error: ErrorCode = ErrorCode.NONE
    message: str = ""

    def __str__(self) -> str:
        text = f"{self.result}"
        if self.error:
            text += f", {self.error}"
        return f"{text} ({self.message})" if self.message else text


@dataclass(frozen=True, slots=True)
class Call:
    """What the peer said about a call in ICRQ and ICCN (RFC 2661 section 4.4.4).

    Speeds are bits per second. Numbers and names are text with everything unprintable
    replaced. `rx_speed` equals `tx_speed` where the peer sent none.
    """

    serial_number: int
    tx_speed: int
    rx_speed: int
    framing_type: int
    bearer_type: int = 0
    calling_number: str = ""
    called_number: str = ""
    sub_address: str = ""
    physical_channel: int | None = None
    private_group: str = ""


@dataclass(frozen=True, slots=True)
class Proxy:
    """What the LAC negotiated with the user beforehand (RFC 2661 section 4.4.5).

    The three Configure-Requests are bodies from the first option on; None = not sent.
    """

    initial_received_confreq: bytes | None = None
    last_sent_confreq: bytes | None = None
    last_received_confreq: bytes | None = None
    authen_type: ProxyAuthenType | None = None
    authen_name: bytes | None = None
    authen_challenge: bytes | None = field(default=None, repr=False)
    authen_id: int | None = None
    authen_response: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TunnelOpened:
    """A control connection is established.

    `authenticated` says that the peer proved to know the secret.
    """

    tunnel: TunnelId
    flow: Flow
    peer_tunnel: int
    host_name: str
    vendor_name: str
    authenticated: bool


@dataclass(frozen=True, slots=True)
class TunnelClosed:
    """An open tunnel has ended; `result` is what the StopCCN says, if there is one."""

    tunnel: TunnelId
    flow: Flow
    host_name: str
    why: str
    by_peer: bool
    result: Result | None


@dataclass(frozen=True, slots=True)
class TunnelRefused:
    """A tunnel did not come about; `by_peer` says who did not want it."""

    tunnel: TunnelId | None
    flow: Flow
    host_name: str
    why: str
    by_peer: bool
    result: Result | None


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A call is established: PPP may begin, and data may flow.

    The data plane needs `tunnel` and `session` for what comes in, `peer_tunnel` and
    `peer_session` for what goes out. `sequencing` says that the peer demanded Ns and Nr on
    all data (RFC 2661 section 5.4).
    """

    session: SessionId
    tunnel: TunnelId
    flow: Flow
    peer_tunnel: int
    peer_session: int
    sequencing: bool
    call: Call
    proxy: Proxy | None


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """An open session has ended; `result` is what the CDN says, if there is one."""

    session: SessionId
    tunnel: TunnelId
    flow: Flow
    why: str
    by_peer: bool
    result: Result | None


@dataclass(frozen=True, slots=True)
class SessionRefused:
    """A call did not come about; `by_peer` says who did not want it."""

    session: SessionId | None
    tunnel: TunnelId
    flow: Flow
    why: str
    by_peer: bool
    result: Result | None


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """A PPP frame came in, as the peer sent it: with or without FF 03, without FCS."""

    session: SessionId
    frame: bytes


Event = (
    TunnelOpened
    | TunnelClosed
    | TunnelRefused
    | SessionOpened
    | SessionClosed
    | SessionRefused
    | FrameReceived
)
