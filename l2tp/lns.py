"""The L2TP network server: it answers tunnels and incoming calls (RFC 2661 section 7.4.2)."""

from l2tp.config import L2tpConfig
from l2tp.endpoint import Endpoint
from l2tp.role import Role
from wire import Entropy


class Lns(Endpoint):
    """An LNS. Peers open tunnels and calls; the program hears of them by events."""

    def __init__(self, config: L2tpConfig, entropy: Entropy) -> None:
        super().__init__(Role.LNS, config, entropy)
