"""What both phases do with nonces and public values, and the keys of Main Mode.

RFC 2409 sections 5, 5.4 and 5.5.
"""

from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Final

from ipsec import keymat
from ipsec.constants import NotifyType, PayloadType
from ipsec.errors import NotifyError
from ipsec.groups import InvalidKey, KeyAgreement
from ipsec.keymat import Skeyid
from ipsec.message import Cookies, Payloads
from ipsec.offers import IkeSuite
from ipsec.protection import Protection

NONCE_LENGTH: Final = 32
NONCE_LENGTHS: Final = range(8, 257)
"""RFC 2409 section 5."""


def read_nonce(payloads: Payloads) -> bytes:
    """Return the peer's nonce. Raises DecodeError, and NotifyError if its length is wrong."""
    nonce = payloads.the(PayloadType.NONCE)
    if len(nonce) not in NONCE_LENGTHS:
        raise NotifyError(NotifyType.PAYLOAD_MALFORMED, f"a nonce of {len(nonce)} octets")
    return nonce


def shared_secret(agreement: KeyAgreement, peer_public: bytes) -> bytes:
    """Return g^xy. Raises NotifyError (INVALID-KEY-INFORMATION)."""
    try:
        return agreement.shared(peer_public)
    except InvalidKey as error:
        raise NotifyError(NotifyType.INVALID_KEY_INFORMATION, str(error)) from error


@dataclass(frozen=True, slots=True)
class KeyExchange:
    """Messages 3 and 4 of Main Mode: public values, nonces, and g^xy."""

    g_xi: bytes
    g_xr: bytes
    ni: bytes
    nr: bytes
    g_xy: bytes = field(repr=False)


class Phase1Keys:
    """What follows from a key exchange and, unless that is None, a pre-shared key."""

    __slots__ = ("_exchange", "_skeyid", "_suite", "cookies", "first_iv", "protection")

    def __init__(
        self, suite: IkeSuite, cookies: Cookies, exchange: KeyExchange, psk: bytes | None
    ) -> None:
        self._suite = suite
        self._exchange = exchange
        ni, nr = exchange.ni, exchange.nr
        if psk is None:
            self._skeyid = keymat.skeyid_signatures(suite.hash, ni, nr, exchange.g_xy)
        else:
            self._skeyid = keymat.skeyid_psk(suite.hash, psk, ni, nr)
        keys = Skeyid.derive(suite.hash, self._skeyid, exchange.g_xy, *cookies)
        self.cookies = cookies
        self.protection = Protection(cookies, suite, keys)
        self.first_iv = self.protection.phase1_iv(exchange.g_xi, exchange.g_xr)

    def proof(self, of_initiator: bool, sai_b: bytes, id_b: bytes) -> bytes:
        """Return HASH_I or HASH_R."""
        compute = keymat.hash_i if of_initiator else keymat.hash_r
        exchange = self._exchange
        return compute(
            self._suite.hash, self._skeyid, exchange.g_xi, exchange.g_xr, *self.cookies, sai_b, id_b
        )

    def proves(self, proof: bytes, of_initiator: bool, sai_b: bytes, id_b: bytes) -> bool:
        """Say whether `proof` is HASH_I or HASH_R, in constant time."""
        return compare_digest(proof, self.proof(of_initiator, sai_b, id_b))
