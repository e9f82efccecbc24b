"""One peer: who it is, where it is, and which SAs it has."""

from ipsec.algorithms import EspAlgorithms
from ipsec.dpd import Liveness
from ipsec.isakmp_sa import IsakmpSa
from ipsec.path import Path
from ipsec.sa_pair import SaPair


class Peer:
    """One client and its SAs, the newest last, pairs by inbound SPI. `id` is never used again.

    `lingering` are ISAKMP SAs that the peer has deleted a moment ago. `icv_lengths` are those
    that its packets were found to have, by algorithm. `dialled` says that we called the peer, so
    that renewing SAs is for us; else it is a client. `refusal` is why one did not let us. `anew`
    says that the peer began with INITIAL-CONTACT.
    """

    __slots__ = (
        "algorithms",
        "anew",
        "client",
        "dialled",
        "icv_lengths",
        "id",
        "identity",
        "isakmp_sas",
        "lingering",
        "liveness",
        "pairs",
        "path",
        "refusal",
    )

    def __init__(self, number: int, path: Path, sa: IsakmpSa, liveness: Liveness) -> None:
        self.id = number
        self.path = path
        self.identity = sa.identity
        self.algorithms = f"{sa.suite}, {sa.nat}"
        self.client = sa.extensions.client
        self.dialled = sa.initiator
        self.refusal = ""
        self.anew = False
        self.liveness = liveness
        self.icv_lengths: dict[EspAlgorithms, int] = {}
        self.isakmp_sas: list[IsakmpSa] = []
        self.lingering: list[IsakmpSa] = []
        self.pairs: dict[int, SaPair] = {}

    def knows_icv_length(self, algorithms: EspAlgorithms) -> bool:
        """Say whether there is no doubt how long the ICVs of the peer are."""
        return len(algorithms.icv_lengths) == 1 or algorithms in self.icv_lengths

    @property
    def packets(self) -> int:
        """ESP packets that came in on the SAs there are."""
        return sum(pair.inbound.packets for pair in self.pairs.values())

    @property
    def newest(self) -> IsakmpSa | None:
        """The ISAKMP SA to be used for what we send."""
        return self.isakmp_sas[-1] if self.isakmp_sas else None

    @property
    def sending(self) -> SaPair | None:
        """The pair to send on: the newest that the peer is known to have."""
        return next((pair for pair in reversed(self.pairs.values()) if pair.confirmed), None)
