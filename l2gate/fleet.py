"""Counts what the clients offer in IKE, and says which proposals would accept it.

So an admin sees before changing `ipsec.proposals` whom that would shut out. What strangers
offer is counted apart, so that they cannot push out what is known of the fleet.
"""

from collections.abc import Iterator
from typing import Final

from ipsec.events import Negotiation
from ipsec.offers import EspOffer, IkeOffer
from ipsec.policy import POLICIES, Policy
from l2gate.history import Offer

MAX_OFFERS: Final = 200
"""Different offers of clients that have the pre-shared key; the longest unseen gives way."""

MAX_STRANGE_OFFERS: Final = 100
"""Different offers of others."""

_Key = tuple[str, tuple[str, ...], tuple[str, ...]]


class Fleet:
    """The different offers that were seen, bounded."""

    def __init__(self) -> None:
        self._proven: dict[_Key, Offer] = {}
        self._strange: dict[_Key, Offer] = {}

    def __iter__(self) -> Iterator[Offer]:
        yield from self._proven.values()
        yield from self._strange.values()

    def count(
        self,
        about: Negotiation,
        esp: tuple[EspOffer | None, ...],
        proven: bool,
        host: str,
        now: float,
    ) -> Offer:
        """Count an offer and return its row; `esp` is empty where quick mode never began."""
        table, limit = self._proven, MAX_OFFERS
        if not proven:
            table, limit = self._strange, MAX_STRANGE_OFFERS
        key = about.client, names(about.offered), names(esp)
        offer = table.pop(key, None)
        if offer is None:
            if len(table) >= limit:
                del table[next(iter(table))]
            accepted = (policy.name for policy in POLICIES.values() if _takes(policy, about, esp))
            offer = Offer(*key, tuple(accepted), proven, 0, now, host)
        offer.count += 1
        offer.last, offer.host = now, host
        table[key] = offer
        return offer


def names(offers: tuple[IkeOffer | None, ...] | tuple[EspOffer | None, ...]) -> tuple[str, ...]:
    """Return transforms for people."""
    return tuple(str(offer or "something unknown") for offer in offers)


def _takes(policy: Policy, about: Negotiation, esp: tuple[EspOffer | None, ...]) -> bool:
    ike = any(policy.ike_rank(offer) is not None for offer in about.offered)
    return ike and (not esp or any(policy.esp_rank(offer) is not None for offer in esp))
