"""The section ppp.eap, and the TLS that EAP-TLS works with."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from l2gate.configuration import values
from l2gate.configuration.files import warn_if_exposed
from l2gate.configuration.model import Certificates, EapMethod
from l2gate.configuration.section import Section

FILES = ("certificate", "private_key", "client_ca")


def read_eap(section: Section) -> tuple[tuple[EapMethod, ...], Certificates | None]:
    """Read `ppp.eap`: the methods, and the files that EAP-TLS needs, which are sound."""
    methods = section.take_all("methods", values.one_of(EapMethod)) or (EapMethod.MSCHAPV2,)
    certificate = section.take("certificate", Path, None)
    private_key = section.take("private_key", Path, None)
    client_ca = section.take("client_ca", Path, None)
    section.finish()
    if len(set(methods)) < len(methods):
        section.error("methods", "a method is given twice: remove one of them")
    if EapMethod.TLS not in methods:
        for key in FILES:
            if key in section:
                section.error(key, "has no effect: add 'tls' to ppp.eap.methods, or remove this")
        return methods, None
    for key in FILES:
        if key not in section:
            section.error(None, f"{key} is missing, which tls needs: add '{key}: FILE.pem'")
    if certificate is None or private_key is None or client_ca is None:
        return methods, None
    beside = Path(section.file).parent
    certificates = Certificates(beside / certificate, beside / private_key, beside / client_ca)
    _check(section, certificates)
    return methods, certificates


def tls_context(certificates: Certificates) -> ssl.SSLContext:
    """Return what a server's EAP-TLS works with (RFC 5216 section 2.4, RFC 9190 section 2.1).

    Without tickets, so that each login shows its certificate. Raises
    OSError (of which ssl.SSLError is one) if a file cannot be read or used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    # A password keeps OpenSSL from asking the terminal for that of an encrypted key.
    context.load_cert_chain(certificates.certificate, certificates.private_key, password="")
    context.load_verify_locations(certificates.client_ca)
    return context


def _check(section: Section, certificates: Certificates) -> None:
    """Note files that cannot be read or do not fit together, and a certificate of no use."""
    certificate = None
    for key in FILES:
        path: Path = getattr(certificates, key)
        try:
            with path.open("rb") as stream:
                if key == "private_key":
                    warn_if_exposed(path, stream.fileno(), section.problems)
                content = stream.read()
        except OSError as error:
            section.error(key, f"{path} cannot be read: {error.strerror}")
            return
        if key != "private_key":
            found = _first_certificate(content)
            certificate = certificate or found
            if found is None:
                section.error(key, f"expected a certificate in PEM in {path}")
                return
    try:
        tls_context(certificates)
    except OSError:
        section.error(
            "private_key",
            f"{certificates.private_key} is not the key of the certificate, in PEM and not "
            "encrypted",
        )
        return
    if certificate is not None:
        _warn_of(section, certificate)


def _first_certificate(content: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificates(content)[0]
    except ValueError:
        return None


def _warn_of(section: Section, certificate: x509.Certificate) -> None:
    """Warn of what clients object to."""
    now = datetime.now(UTC)
    end = certificate.not_valid_after_utc
    if not certificate.not_valid_before_utc <= now <= end:
        section.warn("certificate", f"is not valid now (it ends {end:%Y-%m-%d}): renew it")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        usage = None
    if usage is None or ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        section.warn(
            "certificate",
            "is not for server authentication (extended key usage), which Windows demands",
        )
