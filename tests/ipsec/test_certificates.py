"""CERT and CERTREQ payloads: what is read, what is refused, and nothing raises anything else."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from ipsec.certificates import (
    MAX_CERTIFICATES,
    certificate_payloads,
    name_of,
    read_certificate,
    read_certificates,
    request_payloads,
)
from ipsec.constants import NotifyType, PayloadType
from ipsec.errors import NotifyError
from ipsec.message import Payload, Payloads
from tests.support import certificates
from tests.support.certificates import Authority, authority, client_certificate
from wire import DecodeError

DER = client_certificate().public_bytes(Encoding.DER)


def message(*bodies: bytes) -> Payloads:
    return Payloads.of([Payload(PayloadType.CERT, body) for body in bodies])


def pkcs_7(*wrapped: bytes) -> bytes:
    each = [read_certificate(der) for der in wrapped]
    return pkcs7.serialize_certificates(each, Encoding.DER)


def test_each_payload_holds_the_encoding_and_one_certificate() -> None:
    chain = [client_certificate(), authority().certificate]
    payloads = certificate_payloads(chain)
    assert [payload.body[0] for payload in payloads] == [4, 4]
    assert payloads[0].body[1:] == DER
    assert read_certificates(Payloads.of(payloads)) == chain


def test_requests_name_the_authorities() -> None:
    (payload,) = request_payloads([authority().certificate])
    assert payload.type == PayloadType.CERTREQ
    assert payload.body[0] == 4
    assert payload.body[1:] == authority().name.public_bytes()


def test_an_envelope_of_windows_holds_several() -> None:
    authority_der = authority().certificate.public_bytes(Encoding.DER)
    found = read_certificates(message(b"\1" + pkcs_7(DER, authority_der)))
    assert set(found) == {client_certificate(), authority().certificate}


def test_revocation_lists_are_passed_over() -> None:
    crl = authority().revoke().public_bytes(Encoding.DER)
    assert read_certificates(message(b"\7" + crl, b"\4" + DER)) == [client_certificate()]
    assert read_certificates(message(b"\x08whatever")) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\4",
        b"\4" + bytes(300),
        b"\4" + DER[:-1],
        b"\4" + DER + b"\0",
        b"\4" + DER[:100] + bytes(100) + DER[200:],
        b"\1",
        b"\1" + bytes(300),
        b"\1" + DER,
        b"\1" + pkcs_7(DER)[:-1],
        b"\1" + pkcs_7(DER).replace(DER[50:150], bytes(100)),
        b"\1\x30\x80" + b"\x30\x80" * 5000,
    ],
)
def test_what_cannot_be_read(body: bytes) -> None:
    with pytest.raises(DecodeError):
        read_certificates(message(body))


@pytest.mark.parametrize("encoding", [0, 2, 3, 5, 6, 9, 10, 11, 255])
def test_other_encodings_are_refused_by_name(encoding: int) -> None:
    with pytest.raises(NotifyError) as refusal:
        read_certificates(message(bytes([encoding]) + DER))
    assert refusal.value.code == NotifyType.CERT_TYPE_UNSUPPORTED


def test_there_are_not_too_many() -> None:
    assert len(read_certificates(message(*[b"\4" + DER] * MAX_CERTIFICATES))) == MAX_CERTIFICATES
    for bodies in ([b"\4" + DER] * (MAX_CERTIFICATES + 1), [b"\1" + pkcs_7(*[DER] * 9)]):
        with pytest.raises(NotifyError) as refusal:
            read_certificates(message(*bodies))
        assert refusal.value.code == NotifyType.INVALID_CERTIFICATE


def test_a_name_cannot_write_lines_into_the_log() -> None:
    name = certificates.distinguished("laptop\n2026-03-01 bob is here\x1b[2J")
    assert name_of(name).isprintable()
    assert len(name_of(certificates.distinguished("x" * 60))) < 128
    assert Authority("evil\n", key="Example CA").certificate.subject != authority().name
