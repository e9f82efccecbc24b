"""What a peer sends to prove that it knows a password, and how that is verified.

A proof's `verify(password, nt_hash)` is given the one or both of a user's secrets that are
known (`nt_hash` is the 16 octets of RFC 2759 section 8.3). It returns the octets of the success
message, or None where the proof is wrong or the secrets do not suffice for the method.

A proof that also changes the password has `new_password(password, nt_hash)`, which returns it.
"""

from dataclasses import dataclass, field
from hashlib import md5
from hmac import compare_digest

from ppp.config import EapMethod, Method
from ppp.mschapv2 import (
    decrypt_pw_block,
    generate_authenticator_response,
    generate_nt_response,
    nt_password_hash,
    nt_password_hash_encrypted_with_block,
)
from wire import DecodeError


@dataclass(frozen=True, slots=True)
class PapProof:
    """A password in clear, as octets (RFC 1334 section 2.2.1)."""

    name: str
    password: bytes = field(repr=False)

    @property
    def method(self) -> str:
        """The protocol's name."""
        return Method.PAP.value

    @property
    def clear_text(self) -> bytes:
        """What the peer sent as its password."""
        return self.password

    def without_end(self, octets: int) -> "PapProof":
        """Return the proof that is left without the last octets of the password."""
        return PapProof(self.name, self.password[:-octets])

    def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
        """Compare with the password, or with its hash where that is all there is."""
        if password is not None:
            expected, received = password.encode(), self.password
        elif nt_hash is not None:
            expected, received = nt_hash, nt_password_hash(self.password.decode(errors="replace"))
        else:
            return None
        return b"" if compare_digest(expected, received) else None


@dataclass(frozen=True, slots=True)
class ChapMd5Proof:
    """The 16 octets of an MD5 over identifier, password and challenge (RFC 1994 section 4.1)."""

    name: str
    identifier: int
    challenge: bytes = field(repr=False)
    response: bytes = field(repr=False)

    @property
    def method(self) -> str:
        """The protocol's name."""
        return Method.CHAP_MD5.value

    def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
        """Compute the same from the password; no hash of it would do."""
        if password is None:
            return None
        expected = chap_md5_response(self.identifier, password, self.challenge)
        return b"" if compare_digest(expected, self.response) else None


@dataclass(frozen=True, slots=True)
class MsChapV2Proof:
    """A Response of MS-CHAPv2 (RFC 2759 section 4) and the challenge that it answers.

    `name` is as received; the octets that were hashed are `name` in `encoding`.
    """

    name: str
    authenticator_challenge: bytes = field(repr=False)
    peer_challenge: bytes = field(repr=False)
    nt_response: bytes = field(repr=False)
    encoding: str = "utf-8"
    method: str = Method.MS_CHAP_V2.value

    def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
        """Compute the same; return the authenticator's own proof, "S=" and 40 digits."""
        if password is not None:
            nt_hash = nt_password_hash(password)
        if nt_hash is None:
            return None
        octets = self.name.encode(self.encoding)
        challenges = self.authenticator_challenge, self.peer_challenge
        expected = generate_nt_response(*challenges, octets, nt_hash)
        if not compare_digest(expected, self.nt_response):
            return None
        return generate_authenticator_response(*challenges, octets, nt_hash, self.nt_response)


@dataclass(frozen=True, slots=True)
class MsChapV2Change:
    """A Change-Password packet of MS-CHAPv2 (RFC 2759 section 7).

    `new` proves that the peer knows the new password; the other two, encrypted under each
    other's hashes, that it knows the old one.
    """

    new: MsChapV2Proof
    encrypted_password: bytes = field(repr=False)
    encrypted_hash: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """The user's name as received."""
        return self.new.name

    @property
    def method(self) -> str:
        """The protocol's name."""
        return self.new.method

    def new_password(self, password: str | None, nt_hash: bytes | None) -> str | None:
        """Return the new password, or None where the old one is wrong."""
        old_hash = nt_hash if password is None else nt_password_hash(password)
        if old_hash is None:
            return None
        try:
            new = decrypt_pw_block(self.encrypted_password, old_hash)
        except DecodeError:
            return None
        expected = nt_password_hash_encrypted_with_block(old_hash, nt_password_hash(new))
        return new if compare_digest(expected, self.encrypted_hash) else None

    def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
        """Verify both; return the authenticator's proof, which is over the new password."""
        new = self.new_password(password, nt_hash)
        return None if new is None else self.new.verify(new, None)


@dataclass(frozen=True, slots=True)
class EapTlsProof:
    """A certificate for `name` of a CA that we trust, whose key the peer has (RFC 5216).

    All of that TLS has verified already.
    """

    name: str

    @property
    def method(self) -> str:
        """The protocol's name."""
        return EapMethod.TLS.value

    def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
        """Return what a success says, which is nothing: no password plays a part."""
        return b""


@dataclass(frozen=True, slots=True)
class EapResponse:
    """A Response of EAP that a server elsewhere is to judge, as the `packet` that it is.

    `identity` are the octets by which the peer calls itself, `mtu` is the most, in octets, that a
    Request may have. `begins`: it is the one with the identity, with which EAP can go on here, too.
    """

    identity: bytes
    packet: bytes = field(repr=False)
    mtu: int
    begins: bool

    @property
    def name(self) -> str:
        """Who the peer says it is."""
        return decode_name(self.identity)[0]

    @property
    def method(self) -> str:
        """The protocol's name; the method in it is not known here."""
        return Method.EAP.value

    def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
        """Return None: there is nothing that could be verified here."""
        return None


Proof = PapProof | ChapMd5Proof | MsChapV2Proof | MsChapV2Change | EapTlsProof | EapResponse


def chap_md5_response(identifier: int, password: str, challenge: bytes) -> bytes:
    """Return the Response Value of RFC 1994 section 4.1."""
    return md5(bytes([identifier]) + password.encode() + challenge).digest()


def decode_name(octets: bytes) -> tuple[str, str]:
    """Return a name as text and the encoding it came in.

    No RFC says which it is. What is not UTF-8 is read as Latin-1, as old Windows sends it;
    encoding the text again gives the same octets.
    """
    try:
        return octets.decode(), "utf-8"
    except UnicodeDecodeError:
        return octets.decode("latin-1"), "latin-1"
