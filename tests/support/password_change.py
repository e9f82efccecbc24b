"""The peer's part of MS-CHAPv2's change of password (RFC 2759 sections 7 and 8.9 to 8.13)."""

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher

from ppp.authentication import Send, Verdict
from ppp.chap import CHALLENGE_LENGTH, ChangePassword, ChapPeer
from ppp.config import Credentials, Method
from ppp.constants import ChapCode
from ppp.mschapv2 import (
    generate_authenticator_response,
    generate_nt_response,
    nt_password_hash,
    nt_password_hash_encrypted_with_block,
)
from ppp.packet import Packet
from wire import Entropy

NEW = "a brand new one"


def pw_block(password: str, password_hash: bytes) -> bytes:
    octets = password.encode("utf-16-le")
    clear = octets.rjust(512, b"\xaa") + len(octets).to_bytes(4, "little")
    return Cipher(ARC4(password_hash), mode=None).encryptor().update(clear)


def change_of_password(
    challenge: bytes, peer_challenge: bytes, name: bytes, old: str, new: str
) -> tuple[ChangePassword, bytes]:
    """Return the Data of a Change-Password packet, and what the Success must begin with."""
    old_hash, new_hash = nt_password_hash(old), nt_password_hash(new)
    response = generate_nt_response(challenge, peer_challenge, name, new_hash)
    data = ChangePassword(
        pw_block(new, old_hash),
        nt_password_hash_encrypted_with_block(old_hash, new_hash),
        peer_challenge,
        response,
    )
    proof = challenge, peer_challenge, name, new_hash, response
    return data, generate_authenticator_response(*proof)


def challenge_of(failure: bytes) -> bytes:
    """Return the challenge that is in a Failure."""
    return bytes.fromhex(failure.partition(b" C=")[2][:32].decode())


class ChangingPeer(ChapPeer):
    """A peer of MS-CHAPv2 that has a new password as soon as the old one has expired."""

    def __init__(self, credentials: Credentials, entropy: Entropy, send: Send, new: str) -> None:
        super().__init__(Method.MS_CHAP_V2, credentials, entropy, send)
        self.new = new
        self.failures: list[bytes] = []
        self.expected: dict[int, bytes] = {}

    def receive(self, packet: Packet, now: float) -> Verdict | None:
        if packet.identifier in self.expected and packet.code == ChapCode.SUCCESS:
            return Verdict(packet.data.startswith(self.expected[packet.identifier]), "")
        if packet.code != ChapCode.FAILURE:
            return super().receive(packet, now)
        self.failures.append(packet.data)
        if not packet.data.startswith(b"E=648 R=1 "):
            return Verdict(False, packet.data.decode())
        name, old = self._credentials.name.encode(), self._credentials.password
        identifier = (packet.identifier + 1) % 256
        data, expected = change_of_password(
            challenge_of(packet.data), self._entropy(CHALLENGE_LENGTH), name, old, self.new
        )
        self.expected[identifier] = expected
        self._latest = Packet(ChapCode.CHANGE_PASSWORD, identifier, data.build())
        self._repeat(now)
        return None
