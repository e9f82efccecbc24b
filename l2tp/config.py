"""What an LNS or LAC is told, with every limit that bounds its memory."""

from dataclasses import dataclass, field

from wire import LocalError


@dataclass(frozen=True, slots=True, kw_only=True)
class L2tpConfig:
    """Settings of an LNS or LAC. Times are seconds. Raises LocalError if they contradict.

    * `host_name`: what the peer sees as our Host Name, at least one character.
    * `vendor_name`: our Vendor Name; empty sends none.
    * `secret`: the shared secret of tunnel authentication and hidden AVPs (RFC 2661 sections
      4.3 and 5.1.1). Without one a challenging peer is refused. Native clients have none.
    * `require_authentication`: challenge the peer and refuse it unless it knows `secret`.
    * `hide_avps`: hide every AVP that may be hidden; needs `secret`.
    * `receive_window`: control messages that the peer may have outstanding (1..128); that many
      are kept when they come out of order.
    * `hello_interval`: silence on the control connection after which a HELLO is sent.
    * `retransmit_interval`, `retransmit_cap`, `max_retransmissions`: the first interval, the
      longest one, and how often one message is sent again before the tunnel is given up
      (RFC 2661 section 5.8); the defaults make its recommended full cycle of 31 s.
    * `establish_timeout`: how long a tunnel or a session may take from its first message to
      its last.
    * `send_queue`: control messages that may wait for a peer which does not acknowledge; one
      more, and the tunnel is given up.
    * `max_tunnels`: tunnels in all states. When the table is full, the oldest one that is only
      kept for the retransmission cycle after its end makes room; failing that, a new one is
      refused. `max_tunnels_per_flow` and `max_half_open` count the tunnels that are open, or
      not yet open, for one flow and in all.
    * `max_sessions`, `max_sessions_per_tunnel`: sessions in all states.
    """

    host_name: str
    vendor_name: str = "l2gate"
    secret: bytes | None = field(default=None, repr=False)
    require_authentication: bool = False
    hide_avps: bool = False
    receive_window: int = 8
    hello_interval: float = 60.0
    retransmit_interval: float = 1.0
    retransmit_cap: float = 8.0
    max_retransmissions: int = 5
    establish_timeout: float = 60.0
    send_queue: int = 64
    max_tunnels: int = 8192
    max_tunnels_per_flow: int = 8
    max_half_open: int = 1024
    max_sessions: int = 16384
    max_sessions_per_tunnel: int = 4096

    def __post_init__(self) -> None:
        if not self.host_name:
            raise LocalError("an L2TP host name has at least one character")
        if (self.require_authentication or self.hide_avps) and not self.secret:
            raise LocalError("tunnel authentication and hidden AVPs need a secret")
        if not 1 <= self.receive_window <= 128:
            raise LocalError("receive_window is 1..128")
        if self.retransmit_cap < 8:
            raise LocalError("RFC 2661 section 5.8 allows no retransmit_cap below 8 s")
        if max(self.max_tunnels, self.max_sessions) > 32768:
            raise LocalError("more than half of all 16-bit ids would be in use")

    @property
    def retransmission_cycle(self) -> float:
        """Seconds from a message's first transmission until it is given up (section 5.7)."""
        turns = range(self.max_retransmissions + 1)
        return sum(
            min(self.retransmit_interval * (1 << turn), self.retransmit_cap) for turn in turns
        )
