"""EAP-TLS: RFC 5216 and RFC 9190; the peer is OpenSSL behind packets of the test's own."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from l2gate.configuration.eap import tls_context
from ppp.authentication import Verdict
from ppp.config import EapMethod, LinkConfig
from ppp.constants import EapCode, EapType
from ppp.eap import EapAuthenticator
from ppp.eap_server import EapServer
from ppp.eap_tls import ACKNOWLEDGEMENT, MAX_MESSAGE, START, TlsServer, names_of
from ppp.packet import Packet
from ppp.proofs import EapTlsProof
from tests.support.eap_tls import LENGTH, MORE, TLS_1_3, TlsPeer
from tests.support.ppp import NAME, entropy
from tests.support.tls_certificates import CLIENT, DAY, SERVER, Authority, email, upn
from wire import DecodeError

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
MTU = 1400


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    return tls_context(authority.for_server())


def converse(server: TlsServer, peer: TlsPeer) -> EapTlsProof | Verdict:
    """Carry packets until the server has something to say to its caller."""
    said: bytes | EapTlsProof | Verdict | None = server.start()
    while isinstance(said, bytes):
        said = server.receive(peer.answer(said))
    assert said is not None
    return said


def finish(server: TlsServer, peer: TlsPeer) -> Verdict:
    said: bytes | EapTlsProof | Verdict | None = server.succeed(b"")
    while isinstance(said, bytes):
        said = server.receive(peer.answer(said))
    assert isinstance(said, Verdict)
    return said


@VERSIONS
@pytest.mark.parametrize("mtu", [1400, 576, 100])
@pytest.mark.parametrize("fragment", [1390, 200])
def test_a_login(
    authority: Authority,
    context: ssl.SSLContext,
    version: ssl.TLSVersion,
    mtu: int,
    fragment: int,
) -> None:
    server = TlsServer(context, NAME, mtu)
    peer = TlsPeer(authority, authority.issue(NAME), version, fragment)
    proof = converse(server, peer)
    assert proof == EapTlsProof(NAME)
    assert proof.method == "EAP-TLS"
    assert proof.verify(None, None) == b""
    assert finish(server, peer) == Verdict(True, "")
    assert peer.error == ""
    assert peer.longest + 5 <= mtu
    assert peer.flags[0] == START
    assert peer.indication == (b"\0" if version == TLS_1_3 else b""), "RFC 9190 section 2.5"
    assert any(flags & LENGTH for flags in peer.flags) == (mtu < 1400)


@VERSIONS
@pytest.mark.parametrize(
    ("issue", "why"),
    [
        (lambda ours, other: None, "peer did not return a certificate"),
        (lambda ours, other: other.issue(NAME), "unable to get local issuer certificate"),
        (lambda ours, other: ours.issue(NAME, ends=-DAY), "certificate has expired"),
        (lambda ours, other: ours.issue(NAME, SERVER), "unsuitable certificate purpose"),
    ],
)
def test_certificates_that_do_not_do(
    authority: Authority,
    context: ssl.SSLContext,
    tmp_path: Path,
    version: ssl.TLSVersion,
    issue: Callable[[Authority, Authority], tuple[Path, Path] | None],
    why: str,
) -> None:
    other = Authority(tmp_path, "Another CA")
    server = TlsServer(context, NAME, MTU)
    peer = TlsPeer(authority, issue(authority, other), version)
    verdict = converse(server, peer)
    assert isinstance(verdict, Verdict)
    assert not verdict.accepted
    assert why in verdict.message
    assert "ppp.eap.client_ca" in verdict.hint
    assert "alert" in peer.error.lower(), "TLS has told the peer"


@VERSIONS
def test_a_peer_that_does_not_trust_us(
    authority: Authority, context: ssl.SSLContext, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    peer = TlsPeer(Authority(tmp_path, "Another CA"), authority.issue(NAME), version)
    verdict = converse(TlsServer(context, NAME, MTU), peer)
    assert isinstance(verdict, Verdict)
    assert verdict.message == "TLS failed: the client ends it: unknown ca"
    assert "ppp.eap.certificate" in verdict.hint


def test_old_tls_is_refused(authority: Authority, context: ssl.SSLContext) -> None:
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    hello = bytes.fromhex("160301002f0100002b0301" + "11" * 32 + "000004002f0035" + "0100")
    server = TlsServer(context, NAME, MTU)
    said = server.receive(b"\0" + hello)
    assert isinstance(said, bytes)
    assert said[1] == 21, "an alert"
    verdict = server.receive(ACKNOWLEDGEMENT)
    assert isinstance(verdict, Verdict)
    assert not verdict.accepted


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        ("alice@sales", "alice@sales"),
        ("alice@corp", "alice@corp"),
        ("Alice", "Alice"),
        ("CORP\\Alice", "CORP\\Alice"),
        ("", "alice@sales"),
        ("@sales", "alice@sales"),
        ("alice", None),
        ("bob", None),
        ("host/alice", None),
        ("\\", "alice@sales"),
    ],
)
def test_the_login_name_is_one_of_the_certificate(
    authority: Authority, context: ssl.SSLContext, identity: str, name: str | None
) -> None:
    names = [email("alice@corp"), upn("alice@sales"), x509.DNSName("bob")]
    peer = TlsPeer(authority, authority.issue("Alice", CLIENT, names))
    proof = converse(TlsServer(context, identity, MTU), peer)
    if name is not None:
        assert proof == EapTlsProof(name)
        return
    assert isinstance(proof, Verdict)
    assert not proof.accepted
    assert "'alice@sales', 'alice@corp', 'Alice'" in proof.message


def test_a_certificate_for_nobody(authority: Authority, context: ssl.SSLContext) -> None:
    for identity in ("", "alice"):
        peer = TlsPeer(authority, authority.issue("", CLIENT, [x509.DNSName("alice")]))
        verdict = converse(TlsServer(context, identity, MTU), peer)
        assert isinstance(verdict, Verdict)
        assert "nobody" in verdict.message


@pytest.mark.parametrize(
    "value", [b"\x16\x02ab", b"\x05\x00", b"\x0c\x81\x80" + b"a" * 128, b"\x30\x04\x0c\x02ab"]
)
def test_odd_principal_names_are_none(authority: Authority, value: bytes) -> None:
    name = x509.OtherName(upn("x").type_id, value)
    certificate, _ = authority.issue("alice", CLIENT, [name])
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    assert list(names_of(der)) == ["alice"]
    assert list(names_of(b"\x30\x00")) == []


# What a peer should not do.


def test_a_refused_login_ends_at_once(authority: Authority, context: ssl.SSLContext) -> None:
    server = TlsServer(context, NAME, MTU)
    assert converse(server, TlsPeer(authority, authority.issue(NAME))) == EapTlsProof(NAME)
    assert server.fail(647, "account disabled") == Verdict(False, "account disabled")


@pytest.mark.parametrize("length", [MAX_MESSAGE + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_length_is_no_reason_to_make_room(context: ssl.SSLContext, length: int) -> None:
    data = bytes([LENGTH | MORE]) + length.to_bytes(4) + b"x"
    verdict = TlsServer(context, NAME, MTU).receive(data)
    assert isinstance(verdict, Verdict)
    assert not verdict.accepted


def test_a_message_without_end(context: ssl.SSLContext) -> None:
    server = TlsServer(context, NAME, MTU)
    said: object = ACKNOWLEDGEMENT
    count = 0
    while said == ACKNOWLEDGEMENT:
        said = server.receive(bytes([MORE]) + bytes(1000))
        count += 1
    assert isinstance(said, Verdict)
    assert count == MAX_MESSAGE // 1000 + 1


@pytest.mark.parametrize("data", [b"\x80", b"\x80\0\0\0", b"\xc0\0\0"])
def test_a_length_that_is_not_there_is_malformed(context: ssl.SSLContext, data: bytes) -> None:
    with pytest.raises(DecodeError):
        TlsServer(context, NAME, MTU).receive(data)


@pytest.mark.parametrize("data", [b"", b"\0", b"\x20", b"\x80\0\0\0\0", b"\0\x16\x03\x01\x02"])
def test_a_peer_that_does_not_begin(context: ssl.SSLContext, data: bytes) -> None:
    verdict = TlsServer(context, NAME, MTU).receive(data)
    assert verdict == Verdict(False, "TLS failed: half a message")


def test_our_fragments_are_acknowledged_by_nothing(
    authority: Authority, context: ssl.SSLContext
) -> None:
    server = TlsServer(context, NAME, 200)
    peer = TlsPeer(authority, authority.issue(NAME))
    said = server.receive(peer.answer(server.start()))
    assert isinstance(said, bytes)
    assert said[0] == LENGTH | MORE
    assert server.receive(b"\0data") is None
    assert isinstance(converse_on(server, peer, said), EapTlsProof)


def converse_on(server: TlsServer, peer: TlsPeer, said: object) -> object:
    while isinstance(said, bytes):
        said = server.receive(peer.answer(said))
    return said


@pytest.mark.parametrize("data", [b"\0\x15\x03\x03\0\x02\x02\x28", b"\0garbage garbage"])
def test_what_comes_after_the_handshake_is_no_confirmation(
    authority: Authority, context: ssl.SSLContext, data: bytes
) -> None:
    server = TlsServer(context, NAME, MTU)
    converse(server, TlsPeer(authority, authority.issue(NAME)))
    server.succeed(b"")
    said = server.receive(data)
    while isinstance(said, bytes):
        said = server.receive(ACKNOWLEDGEMENT)
    assert isinstance(said, Verdict)
    assert not said.accepted


@given(st.lists(st.binary(max_size=600), max_size=8))
def test_any_octets(context: ssl.SSLContext, packets: list[bytes]) -> None:
    server = TlsServer(context, NAME, MTU)
    for data in packets:
        try:
            said = server.receive(data)
        except DecodeError:
            continue
        assert not isinstance(said, EapTlsProof)
        if isinstance(said, Verdict):
            assert not said.accepted
            break


# Within EAP.


def eap(config: LinkConfig) -> tuple[EapAuthenticator, list[Packet]]:
    sent: list[Packet] = []
    authenticator = EapAuthenticator(EapServer(config, MTU, entropy()), entropy(), sent.append)
    authenticator.start(0.0)
    return authenticator, sent


def answers(peer: TlsPeer, sent: list[Packet]) -> Iterator[Packet]:
    while sent[-1].code == EapCode.REQUEST:
        request = sent[-1]
        data = bytes([EapType.TLS]) + peer.answer(request.data[1:])
        yield Packet(EapCode.RESPONSE, request.identifier, data)


@VERSIONS
def test_a_login_in_eap(authority: Authority, version: ssl.TLSVersion) -> None:
    """With the only method that the peer would rather have, and that is not our first one."""
    context = tls_context(authority.for_server())
    methods = EapMethod.MS_CHAP_V2, EapMethod.TLS
    server, sent = eap(LinkConfig(eap_methods=methods, tls=context))
    peer = TlsPeer(authority, authority.issue(NAME), version)
    for data in (b"\x01" + NAME.encode(), b"\x03\x0d"):
        assert server.receive(Packet(EapCode.RESPONSE, sent[-1].identifier, data), 0.0) is None
    assert sent[-1].data == bytes([EapType.TLS, START])
    said = None
    for response in answers(peer, sent):
        said = server.receive(response, 0.0)
        if isinstance(said, EapTlsProof):
            assert server.succeed(b"", 0.0)
    assert said == Verdict(True, "")
    assert sent[-1].code == EapCode.SUCCESS
    assert context.session_stats()["number"] == 0, "nothing is kept that could be resumed"
    assert server.receive(Packet(EapCode.RESPONSE, sent[-1].identifier, b"\x0d\x00"), 1.0) is None
