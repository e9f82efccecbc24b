"""The L2TP access concentrator: it opens tunnels and announces calls (RFC 2661 section 7.4.1)."""

from l2tp.config import L2tpConfig
from l2tp.endpoint import Endpoint
from l2tp.events import Call, Flow, Proxy, SessionId, TunnelId
from l2tp.role import Role
from l2tp.session import Session
from wire import Entropy, LocalError


class Lac(Endpoint):
    """A LAC. It announces incoming calls only; it has no lines to place outgoing ones."""

    def __init__(self, config: L2tpConfig, entropy: Entropy) -> None:
        super().__init__(Role.LAC, config, entropy)

    def connect(self, flow: Flow, now: float, tie_breaker: int | None = None) -> TunnelId:
        """Originate a tunnel through `flow` and return its id.

        `tie_breaker`, 64 bits, asks for a single tunnel should the LNS originate one at the
        same time (section 4.4.3). TunnelOpened or TunnelRefused follows. Raises LocalError if
        a limit is reached.
        """
        why = self._shared.tunnels.why_no_more(flow)
        if why is not None:
            raise LocalError(why)
        tunnel = self._add_tunnel(flow)
        tunnel.open(now, tie_breaker)
        return tunnel.id

    def call(
        self,
        tunnel: TunnelId,
        call: Call,
        now: float,
        proxy: Proxy | None = None,
        sequencing: bool = False,
    ) -> SessionId:
        """Announce a call through a tunnel, as soon as it is open, and return its session id.

        `sequencing` demands sequence numbers on all data (section 5.4). SessionOpened or
        SessionRefused follows. Raises LocalError if there is no such tunnel or no room.
        """
        connection = self._shared.tunnels.get(tunnel)
        if connection is None or self._shared.sessions.full:
            raise LocalError(f"tunnel {tunnel} can carry no call")
        session = Session(connection, self._shared.sessions.spare())
        connection.enter(session)
        session.begin(call, proxy, sequencing, now)
        connection.open(now)
        return session.id
