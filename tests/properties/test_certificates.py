"""Certificates under any octets: nothing but the errors that are declared comes out."""

from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsec.authentication import SignatureProof
from ipsec.certificates import name_of, read_certificate, read_certificates
from ipsec.constants import IdType, PayloadType
from ipsec.errors import NotifyError
from ipsec.message import Payload, Payloads
from ipsec.payloads import Identification
from ipsec.trust import OF_CLIENTS, Trust
from tests.support import certificates
from tests.support.certificates import (
    TODAY,
    Authority,
    authority,
    client_certificate,
    subject_of,
)
from wire import DecodeError

MIDDLE = Authority("Middle CA", authority(), path_length=3)
LEAF = MIDDLE.issue(names=["laptop.example.com", "bob@example.com", "198.51.100.7"])
DER = LEAF.public_bytes(Encoding.DER)
ISSUER_DER = MIDDLE.certificate.public_bytes(Encoding.DER)
ENVELOPE = pkcs7.serialize_certificates([LEAF, MIDDLE.certificate], Encoding.DER)

places = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=3)


def damaged(octets: bytes, changes: list[tuple[int, int]]) -> bytes:
    changed = bytearray(octets)
    for at, value in changes:
        changed[at % len(changed)] = value
    return bytes(changed)


def message(*bodies: bytes) -> Payloads:
    return Payloads.of([Payload(PayloadType.CERT, body) for body in bodies])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10), st.binary(max_size=200))
def test_any_octets(encoding: int, octets: bytes) -> None:
    with suppress(DecodeError, NotifyError):
        read_certificates(message(bytes([encoding]) + octets))


@settings(max_examples=150, deadline=None)
@given(places)
def test_damaged_envelopes(changes: list[tuple[int, int]]) -> None:
    with suppress(DecodeError, NotifyError):
        for certificate in read_certificates(message(b"\1" + damaged(ENVELOPE, changes))):
            assert name_of(certificate.subject).isprintable()


@settings(max_examples=300, deadline=None)
@given(places, places)
def test_damaged_certificates_are_never_believed(
    of_leaf: list[tuple[int, int]], of_issuer: list[tuple[int, int]]
) -> None:
    try:
        leaf = read_certificate(damaged(DER, of_leaf))
        issuer = read_certificate(damaged(ISSUER_DER, of_issuer))
    except DecodeError:
        return
    trust = Trust((authority().certificate,))
    if (leaf, issuer) == (LEAF, MIDDLE.certificate):
        trust.verify(leaf, [issuer], OF_CLIENTS, TODAY)
        return
    with pytest.raises(NotifyError) as refusal:
        trust.verify(leaf, [issuer], OF_CLIENTS, TODAY)
    assert refusal.value.why.isprintable()


identities = st.one_of(
    st.builds(
        Identification,
        st.sampled_from(list(IdType)),
        st.just(0),
        st.just(0),
        st.binary(max_size=40),
    ).filter(lambda identity: identity.type not in (IdType.IPV4_ADDR, IdType.IPV6_ADDR)),
    st.builds(Identification.of_address, st.ip_addresses().map(str)),
    st.just(subject_of(client_certificate())),
)


@settings(max_examples=200, deadline=None)
@given(identities, places, st.binary(max_size=300))
def test_nobody_comes_in_without_a_signature(
    identity: Identification, changes: list[tuple[int, int]], signature: bytes
) -> None:
    payloads = Payloads.of(
        [
            Payload(PayloadType.CERT, b"\4" + damaged(DER, changes)),
            Payload(PayloadType.CERT, b"\4" + ISSUER_DER),
            Payload(PayloadType.SIG, signature),
        ]
    )
    how = SignatureProof(certificates.server(), False)
    with pytest.raises(NotifyError) as refusal:
        how.verify(bytes(32), identity.build(), payloads)
    assert refusal.value.why.isprintable()
