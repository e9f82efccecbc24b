"""The settings of IKE."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import (
    L2TP_PORT,
    AuthenticationAlgorithm,
    EncryptionAlgorithm,
    EspTransform,
    GroupDescription,
    HashAlgorithm,
)
from ipsec.credentials import Credentials
from ipsec.offers import IkeSuite
from ipsec.payloads import Identification
from ipsec.policy import DEFAULT, Policy


@dataclass(frozen=True, slots=True)
class PresharedKey:
    """A pre-shared key, and the name that events give it."""

    secret: bytes = field(repr=False)
    name: str = ""


PresharedKeys = Callable[[str], Sequence[PresharedKey]]
"""The keys that may be those of a peer at this IP address, the most likely first.

Main Mode needs the key before it learns the peer's identity, so that only the address can
choose (RFC 2409 section 5.4). More than one lets an admin change a key client by client.
"""

_AES_256 = (EncryptionAlgorithm.AES_CBC, 256)

IKE_OFFERS = (
    IkeSuite(*_AES_256, HashAlgorithm.SHA2_256, GroupDescription.ECP_256),
    IkeSuite(*_AES_256, HashAlgorithm.SHA2_256, GroupDescription.MODP_2048),
    IkeSuite(*_AES_256, HashAlgorithm.SHA1, GroupDescription.MODP_2048),
    IkeSuite(*_AES_256, HashAlgorithm.SHA1, GroupDescription.MODP_1024),
)
ESP_OFFERS = (
    EspAlgorithms(EspTransform.AES_GCM_16, 128),
    EspAlgorithms(EspTransform.AES_CBC, 256, AuthenticationAlgorithm.HMAC_SHA1),
    EspAlgorithms(EspTransform.AES_CBC, 128, AuthenticationAlgorithm.HMAC_SHA1),
)


@dataclass(frozen=True, slots=True)
class IkeConfig:
    """Settings of one Ike; all times in seconds.

    `credentials` are for peers with certificates; None: there are none.

    `identity` is what we say who we are; None means the address that the peer sent to, which
    is what clients expect that dial an address we own, or with certificates the subject of ours.

    `groups` are the keys for Aggressive Mode, by what the initiator calls itself; without any it
    is refused. As initiator we use it if `aggressive`, as `identity`.

    `ike_lifetime`, `esp_lifetime` and `esp_kilobytes` are what an initiator offers, and the
    most that a responder lets an SA live, whatever the peer offers. `pfs_group` is the group
    an initiator adds to Quick Mode, `l2tp_port` the UDP port of its L2TP (0: any).

    `half_open_limit` bounds the main modes under way that strangers have begun, in all and,
    by `half_open_per_host`, from one address; each ends after `half_open_lifetime`.
    `peer_limit` bounds the peers.

    `force_encapsulation` makes the initiator seem to be behind NAT (see natt.py).
    A peer that is silent for `dpd_interval` is probed, if it can be (RFC 3706); None: never.
    An initiator behind NAT sends a keepalive each `keepalive_interval`.
    To a peer that reassembles, UDP payloads of more than `fragment_limit` octets are fragmented
    by IKE; the default lets them pass wherever IP packets of 576 octets do.
    `retransmission` has the pauses before each resending of an initiator's message; after the
    last one the exchange has failed.
    """

    preshared_keys: PresharedKeys = field(repr=False)
    groups: Mapping[bytes, PresharedKey] = field(default_factory=dict, repr=False)
    aggressive: bool = False
    policy: Policy = DEFAULT
    identity: Identification | None = None
    ike_offers: tuple[IkeSuite, ...] = IKE_OFFERS
    esp_offers: tuple[EspAlgorithms, ...] = ESP_OFFERS
    pfs_group: GroupDescription | None = None
    l2tp_port: int = L2TP_PORT
    ike_lifetime: int = 8 * 3600
    esp_lifetime: int = 8 * 3600
    esp_kilobytes: int | None = None
    half_open_limit: int = 1000
    half_open_per_host: int = 100
    half_open_lifetime: float = 30.0
    peer_limit: int = 10_000
    force_encapsulation: bool = False
    dpd_interval: float | None = 30.0
    keepalive_interval: float = 20.0
    fragment_limit: int = 576 - 28
    retransmission: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
    replay_window: int = 64
    credentials: Credentials | None = field(default=None, repr=False)
