"""EAP-TLS, the server's side: RFC 5216 with TLS 1.2, RFC 9190 with TLS 1.3.

Both ends have a certificate. OpenSSL speaks TLS, out of memory and into memory; it brings its
own entropy, and its own clock for the validity of certificates. Here are the packets around it
(RFC 5216 section 3.1), which carry a TLS message in fragments, each acknowledged by a packet
without data; and whom a certificate is for.

A peer that is let in confirms the last TLS message: Finished, or in TLS 1.3 the octet that says
that no handshake message follows (RFC 9190 section 2.5). One that is not gets TLS's alert, if
there is one, and answers that before the Failure. No tickets are given, and a session is
forgotten with its conversation: the next login shows the certificate again.
"""

import ssl
from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

from ppp.authentication import Verdict
from ppp.proofs import EapTlsProof
from wire import Reader, Writer

LENGTH_INCLUDED = 0x80
MORE_FRAGMENTS = 0x40
START = 0x20
ACKNOWLEDGEMENT = bytes(1)

MAX_MESSAGE = 32768
"""Octets of one TLS message of the peer, all fragments together: a chain of certificates."""

OVERHEAD = 10
"""Octets of a packet that are not TLS: EAP's header and Type, flags and length."""

USER_PRINCIPAL_NAME = ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
"""The otherName in which Windows has the login name, as a UTF8String."""

CLIENT_DISTRUSTS_US = "let the client trust the CA of the certificate in ppp.eap.certificate"
SEE_THE_CERTIFICATE = (
    "give the client a certificate of one of the CAs in ppp.eap.client_ca, for client "
    "authentication and not expired"
)


class TlsServer:
    """One conversation with a peer that calls itself `identity`; `mtu` as in EapServer.

    `_received` is what there is of the peer's message, `_unsent` what is left of ours. Once
    `_verdict` is there, the peer has but to confirm that it has got our last message.
    """

    __slots__ = (
        "_fragment",
        "_identity",
        "_incoming",
        "_outgoing",
        "_received",
        "_tls",
        "_unsent",
        "_verdict",
    )

    def __init__(self, context: ssl.SSLContext, identity: str, mtu: int) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._identity = identity
        self._fragment = mtu - OVERHEAD
        self._received = b""
        self._unsent = b""
        self._verdict: Verdict | None = None

    def start(self) -> bytes:
        """Return the Start packet."""
        return bytes([START])

    def receive(self, data: bytes) -> bytes | EapTlsProof | Verdict | None:
        """Take a fragment, or the acknowledgement of ours. Raises DecodeError."""
        reader = Reader(data)
        flags = reader.u8() if data else 0
        length = reader.u32() if flags & LENGTH_INCLUDED else 0
        fragment = reader.rest()
        if self._unsent:
            return None if fragment else self._next_fragment()
        if max(length, len(self._received) + len(fragment)) > MAX_MESSAGE:
            return Verdict(False, f"a TLS message of more than {MAX_MESSAGE} octets")
        self._received += fragment
        if flags & MORE_FRAGMENTS:
            return ACKNOWLEDGEMENT
        message, self._received = self._received, b""
        if self._verdict is not None and (not message or not self._verdict.accepted):
            return self._verdict
        return self._converse(message)

    def succeed(self, reply: bytes) -> bytes:
        """Return the end of the handshake."""
        if self._tls.version() == "TLSv1.3":
            self._tls.write(bytes(1))
        self._verdict = Verdict(True, "")
        return self._send(self._outgoing.read())

    def fail(self, error: int, message: str) -> Verdict:
        """Nothing but a Failure says so."""
        return Verdict(False, message)

    def _converse(self, message: bytes) -> bytes | EapTlsProof | Verdict:
        """Let TLS answer; an alert after the handshake is an error of it, too."""
        self._incoming.write(message)
        try:
            if self._verdict is not None:
                self._tls.read()
                return Verdict(False, "TLS failed: the peer sent data after the handshake")
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            answer = self._outgoing.read()
            return self._send(answer) if answer else Verdict(False, "TLS failed: half a message")
        except ssl.SSLError as error:
            return self._refuse(error)
        return self._prove()

    def _refuse(self, error: ssl.SSLError) -> bytes | Verdict:
        reason = error.reason or "the connection was closed"
        by_peer = "_ALERT_" in reason
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = f"the certificate of the client is not valid: {error.verify_message}"
        elif by_peer:
            reason = f"the client ends it: {reason.partition('_ALERT_')[2]}"
        hint = CLIENT_DISTRUSTS_US if by_peer else SEE_THE_CERTIFICATE
        verdict = Verdict(False, f"TLS failed: {reason.replace('_', ' ').lower()}", hint)
        alert = self._outgoing.read()
        if not alert:
            return verdict
        self._verdict = verdict
        return self._send(alert)

    def _prove(self) -> EapTlsProof | Verdict:
        """Section 5.2: the identity must be one that is in the certificate.

        Where the peer has not said who it is (RFC 9190 section 2.1.4), the certificate says it.
        """
        certificate = self._tls.getpeercert(binary_form=True)
        names = list(names_of(certificate)) if certificate else []
        identity = self._identity.rpartition("\\")[2]
        if names and (not identity or identity.startswith("@")):
            return EapTlsProof(names[0])
        if identity in names:
            return EapTlsProof(self._identity)
        known = ", ".join(map(repr, names)) or "nobody"
        return Verdict(
            False,
            f"the certificate is for {known} and not for {identity!r}",
            "let the client log in with a name that is in its certificate, as user principal "
            "name, e-mail address or common name",
        )

    def _send(self, message: bytes) -> bytes:
        """Return the first fragment; it alone has the length, and only where others follow."""
        if len(message) <= self._fragment:
            return ACKNOWLEDGEMENT + message
        self._unsent = message[self._fragment :]
        flags = LENGTH_INCLUDED | MORE_FRAGMENTS
        first = message[: self._fragment]
        return Writer().u8(flags).u32(len(message)).put(first).build()

    def _next_fragment(self) -> bytes:
        fragment, self._unsent = self._unsent[: self._fragment], self._unsent[self._fragment :]
        return bytes([MORE_FRAGMENTS if self._unsent else 0]) + fragment


def names_of(certificate: bytes) -> Iterator[str]:
    """Yield the names that a certificate (DER) is for, as Windows would look for them."""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        found = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = list(found)
    except x509.ExtensionNotFound:
        names = []
    except ValueError:
        return
    for name in names:
        if isinstance(name, x509.OtherName) and name.type_id == USER_PRINCIPAL_NAME:
            yield from _utf8_string(name.value)
    yield from (name.value for name in names if isinstance(name, x509.RFC822Name))
    for attribute in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        if isinstance(attribute.value, str):
            yield attribute.value


def _utf8_string(value: bytes) -> Iterator[str]:
    """Yield the text of a UTF8String in DER, of at most 127 octets."""
    if len(value) >= 2 and value[0] == 0x0C and value[1] == len(value) - 2 < 128:
        yield value[2:].decode(errors="replace")
