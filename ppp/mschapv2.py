"""The computations of MS-CHAPv2, named as in RFC 2759 section 8.

Challenges are 16 octets, an NT-Response 24, a password hash 16. A user name is octets, because
it is hashed as the peer sent it. What only a peer computes (sections 8.9 and 8.12) is not here.
"""

from hashlib import sha1

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from ppp.md4 import md4
from wire import DecodeError

PW_BLOCK_LENGTH = 516
"""A password block: room for 256 characters in UTF-16, and a length (section 8.9)."""

_MAGIC_1 = b"Magic server to client signing constant"
_MAGIC_2 = b"Pad to make it do more than one iteration"


def without_domain(name: bytes) -> bytes:
    r"""Return what follows the last backslash: DOMAIN\user is hashed as user (section 4)."""
    return name.rpartition(b"\\")[2]


def challenge_hash(peer_challenge: bytes, authenticator_challenge: bytes, name: bytes) -> bytes:
    """Return the 8 octets of section 8.2; the domain in `name` does not count."""
    return sha1(peer_challenge + authenticator_challenge + without_domain(name)).digest()[:8]


def nt_password_hash(password: str) -> bytes:
    """Return the 16 octets of section 8.3, which is all that verifying a response needs."""
    return md4(password.encode("utf-16-le", "surrogatepass"))


def challenge_response(challenge: bytes, password_hash: bytes) -> bytes:
    """Return the 24 octets of section 8.5: an 8-octet challenge under three DES keys."""
    padded = password_hash.ljust(21, b"\0")
    return b"".join(_des_encrypt(challenge, padded[at : at + 7]) for at in (0, 7, 14))


def generate_nt_response(
    authenticator_challenge: bytes, peer_challenge: bytes, name: bytes, password_hash: bytes
) -> bytes:
    """Return the NT-Response of section 8.1."""
    challenge = challenge_hash(peer_challenge, authenticator_challenge, name)
    return challenge_response(challenge, password_hash)


def generate_authenticator_response(
    authenticator_challenge: bytes,
    peer_challenge: bytes,
    name: bytes,
    password_hash: bytes,
    nt_response: bytes,
) -> bytes:
    """Return the 42 octets of section 8.7: "S=" and 40 upper-case hexadecimal digits."""
    digest = sha1(md4(password_hash) + nt_response + _MAGIC_1).digest()
    challenge = challenge_hash(peer_challenge, authenticator_challenge, name)
    return b"S=" + sha1(digest + challenge + _MAGIC_2).hexdigest().upper().encode()


def decrypt_pw_block(block: bytes, password_hash: bytes) -> str:
    """Return the password that section 8.10 has encrypted under the hash of the old one.

    The password ends where the length begins, and random octets fill the block before it.
    Raises DecodeError if this is no password: above all, if the hash is another.
    """
    clear = Cipher(ARC4(password_hash), mode=None).decryptor().update(block)
    length = int.from_bytes(clear[-4:], "little")
    if len(clear) != PW_BLOCK_LENGTH or length > PW_BLOCK_LENGTH - 4:
        raise DecodeError("a password block that was encrypted under another password")
    try:
        return clear[PW_BLOCK_LENGTH - 4 - length : -4].decode("utf-16-le")
    except UnicodeDecodeError:
        raise DecodeError("a password that is not UTF-16") from None


def nt_password_hash_encrypted_with_block(password_hash: bytes, block: bytes) -> bytes:
    """Return the 16 octets of section 8.13: each half of a hash under 7 octets of another."""
    first = _des_encrypt(password_hash[:8], block[:7])
    return first + _des_encrypt(password_hash[8:], block[7:14])


def _des_encrypt(clear: bytes, key: bytes) -> bytes:
    """Encrypt 8 octets under 7 octets of key, one bit of parity after each 7 (section 8.6).

    Triple DES with one key three times is DES, and DES ignores parity.
    """
    bits = int.from_bytes(key, "big")
    spread = bytes((bits >> shift & 0x7F) << 1 for shift in range(49, -1, -7))
    encryptor = Cipher(TripleDES(spread * 3), modes.ECB()).encryptor()
    return encryptor.update(clear) + encryptor.finalize()
