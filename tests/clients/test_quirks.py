"""What clients do that no RFC says, one thing at a time, against the whole server."""

from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP

from ipsec.constants import PayloadType
from ipsec.message import Payload
from l2gate.configuration import Proposals
from l2tp.shared import DropReason
from tests.support import clients
from tests.support.client import ClientState
from tests.support.l2tp import avp, u16, u32
from tests.support.lab import INNER_SERVER, Lab, assert_passes_traffic, up
from tests.support.native.client import NativeClient
from tests.support.native.main_mode import MainMode
from tests.support.native.ppp import refused
from tests.support.native.profile import L2tp, Phase1, Ppp, Profile
from tests.support.native.profiles import (
    ANDROID_7,
    CHROMEOS,
    MACOS,
    MIKROTIK,
    STRONGSWAN,
    WINDOWS_10,
    WINDOWS_XP,
)
from tests.support.native.tables import ACSCP, CCP, IPV6CP, MPLSCP, MRU, NUMBER
from tests.support.simulation import Link, Nat, Wire

PATIENCE = 16.0

OF_OTHERS = [
    *clients.WINDOWS_10_VENDOR_IDS,
    "214ca4faffa7f32d6748e5303395ae83",  # MS-MamieExists
    "72872b95fcda2eb708efe322119b4971",  # NLBS_PRESENT
    "621b04bb09882ac1e15935fefa24aeee",  # GSSAPI
    "09002689dfd6b712",  # XAUTH
    "12f5f28c457168a9702d9fe274cc0100",  # Cisco Unity
    "7003cbc1097dbe9c2600ba6983bc8b35",  # racoon
    "882fe56d6fd20dbc2251613b2ebe5beb",  # strongSwan
    *(f"{number:02x}" * 16 for number in range(20)),
]
TAKEN_UP = {
    "4a131c81070358455c5728f20e95452f",  # RFC 3947
    "4048b7d56ebce88525e7de7f00d6c2d3",  # FRAGMENTATION
}


def log_in(profile: Profile, lab: Lab | None = None, nat: Nat | None = None) -> NativeClient:
    lab = lab or Lab(proposals=Proposals.LEGACY)
    host = "192.168.77.11" if nat else "198.51.100.7"
    client = lab.native(profile, "u1", host, nat)
    assert lab.run(PATIENCE, lambda: up(client)), (client.why, client.refusals)
    lab.run(1)
    assert_passes_traffic(lab, client)
    assert client.refusals == []
    return client


def with_phase1(profile: Profile, phase1: Phase1) -> Profile:
    return replace(profile, phase1=phase1)


def with_l2tp(profile: Profile, l2tp: L2tp) -> Profile:
    return replace(profile, l2tp=l2tp)


def with_ppp(profile: Profile, ppp: Ppp) -> Profile:
    return replace(profile, ppp=ppp)


# IKE.


def test_of_all_vendor_ids_only_what_we_have_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of AuthIP, IKE CGA and Negotiation Discovery change what Windows does [R]."""
    answered: list[str] = []
    take = MainMode._take_2

    def take_and_note(self: MainMode, payloads: object) -> bytes:
        answered.extend(body.hex() for body in payloads.all(PayloadType.VENDOR))  # type: ignore[attr-defined]
        return take(self, payloads)  # type: ignore[arg-type]

    monkeypatch.setattr(MainMode, "_take_2", take_and_note)
    log_in(with_phase1(WINDOWS_10, replace(WINDOWS_10.phase1, vendor_ids=OF_OTHERS)))
    assert set(answered) == TAKEN_UP
    assert len(answered) == len(TAKEN_UP)


@pytest.mark.parametrize("kind", [PayloadType.VENDOR, 15, 16, 127, 128, 200, 255])
@pytest.mark.parametrize("behind_nat", [False, True], ids=["direct", "behind NAT"])
def test_payloads_that_nobody_knows(
    kind: int, behind_nat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In messages 1, 3 and 5. Old OS X has its NAT-D as 15 and its NAT-OA as 16."""
    unknown = Payload(PayloadType(kind), bytes(range(20)))
    monkeypatch.setattr(MainMode, "initial_contact", lambda self: unknown)
    clear = MainMode._clear
    monkeypatch.setattr(
        MainMode, "_clear", lambda self, payloads: clear(self, [*payloads, unknown])
    )
    log_in(MACOS, nat=Nat("198.51.100.1") if behind_nat else None)


def test_message_ids_that_begin_at_1_after_each_main_mode() -> None:
    """Windows counts them [L]; whether it begins anew for each ISAKMP SA nobody knows [R]."""
    lab = Lab()
    client = log_in(WINDOWS_10, lab)
    for _ in range(3):
        lab.run(100)
        client.ike._message_id = 0
        client.ike.connect()
        lab.run(1)
        client.ike._start_quick()
        lab.run(1)
    assert_passes_traffic(lab, client)
    assert (client.ike.main_modes, client.ike.quick_modes) == (4, 4)


# L2TP.


def test_data_that_arrives_before_iccn() -> None:
    """The ICCN is lost once: the client has begun PPP, and asks again."""
    lab = Lab()
    client = lab.native(MACOS, "u1")
    lost: list[Wire] = []

    def loses_iccn(packet: Wire) -> bool:
        is_iccn = len(client.lac.sent) == 4 and not lost and packet.source.host == "198.51.100.7"
        if is_iccn:
            lost.append(packet)
        return is_iccn

    lab.simulation.blocks = loses_iccn
    assert lab.run(PATIENCE, lambda: up(client)), client.why
    assert len(lost) == 1
    assert lab.server.gateway.lns.snapshot().dropped[DropReason.NOT_ESTABLISHED] >= 1
    assert_passes_traffic(lab, client)


@pytest.mark.parametrize("window", [1, 2, 4, 8, 0xFFFF])
def test_windows_of_all_sizes(window: int) -> None:
    sccrq = MACOS.l2tp.sccrq

    def with_window(tunnel: int, host: bytes) -> list[bytes]:
        return [*sccrq(tunnel, host)[:-1], avp(10, u16(window))]

    log_in(with_l2tp(MACOS, replace(MACOS.l2tp, sccrq=with_window)))


def test_avps_of_vendors_everywhere() -> None:
    """MS-L2TPIE's, those of the Broadband Forum, and one that looks like the IETF's [L]."""
    theirs = [
        avp(1, bytes(16), vendor=311, mandatory=False),
        avp(1, b"line 7", vendor=3561, mandatory=False),
        avp(9, u16(7), vendor=9, mandatory=False),
        avp(0, u16(4), vendor=9, mandatory=False),
    ]
    l2tp = WINDOWS_10.l2tp
    log_in(
        with_l2tp(
            WINDOWS_10,
            replace(
                l2tp,
                sccrq=lambda tunnel, host: l2tp.sccrq(tunnel, host) + theirs,
                icrq=lambda session: l2tp.icrq(session) + theirs,
                iccn=l2tp.iccn + theirs,
            ),
        )
    )


@pytest.mark.parametrize("end", [b"\0", b"\0\0\0", b" \0", b"\xff"])
@pytest.mark.parametrize("profile", [MACOS, STRONGSWAN], ids=str)
def test_strings_with_a_trailing_nul(profile: Profile, end: bytes) -> None:
    """macOS counts the NUL of C [S]. No log line has it."""
    sccrq = profile.l2tp.sccrq
    lab = Lab()
    log_in(
        with_l2tp(
            profile, replace(profile.l2tp, sccrq=lambda tunnel, _: sccrq(tunnel, b"phone" + end))
        ),
        lab,
    )
    (line,) = lab.server.noted("tunnel of 'phone")
    assert str(line).isprintable()


def test_the_proxy_avps_of_a_lac_are_no_login() -> None:
    """Proxy LCP and authentication (RFC 2661 section 4.4.5): the server asks all the same."""
    proxy = [
        avp(26, bytes.fromhex("0506aabbccdd"), mandatory=False),
        avp(27, bytes.fromhex("0305c22381"), mandatory=False),
        avp(28, bytes.fromhex("0506aabbccdd"), mandatory=False),
        avp(29, u16(3), mandatory=False),
        avp(30, b"u2", mandatory=False),
    ]
    lab = Lab()
    iccn = WINDOWS_10.l2tp.iccn[:2] + proxy
    log_in(with_l2tp(WINDOWS_10, replace(WINDOWS_10.l2tp, iccn=iccn)), lab)
    (call,) = lab.server.gateway.calls
    assert call.user == "u1"


@pytest.mark.parametrize(
    "code", [b"\3\0", b"\3\0\0\0", b"\0\3", b"\0\3\0\0", b"\0\3\0\0bye", b"\x12\x34\xff\xff"]
)
@pytest.mark.parametrize("profile", [MACOS, MIKROTIK], ids=str)
def test_result_codes_of_any_byte_order_and_length(profile: Profile, code: bytes) -> None:
    lab = Lab(proposals=Proposals.LEGACY)
    l2tp = replace(profile.l2tp, cdn_result=code, stop_result=code)
    client = log_in(with_l2tp(profile, l2tp), lab)
    client.hang_up(lab.simulation.now)
    lab.run(0.5)
    assert not lab.server.gateway.tables.addresses
    lab.run(70)
    assert not lab.server.gateway.lns.snapshot().tunnels
    assert not [line for line in lab.server.log if line.trouble]


# PPP.


@pytest.mark.parametrize("mru", [1270, 1280, 1400, 1410, 1450, 1460, 1500])
@pytest.mark.parametrize("profile", [WINDOWS_10, ANDROID_7, CHROMEOS], ids=str)
def test_each_mru(profile: Profile, mru: int) -> None:
    """What fits the client's MRU arrives; what does not, and our MTU of 1400, does not."""
    lcp = tuple((kind, f"{mru:04x}" if kind == MRU else data) for kind, data in profile.ppp.lcp)
    lab = Lab(proposals=Proposals.LEGACY)
    client = log_in(with_ppp(profile, replace(profile.ppp, lcp=lcp)), lab)
    client.inner.clear()
    for size in (1400, min(mru, 1400), min(mru, 1400) + 1):
        header = IP(src=INNER_SERVER, dst=str(client.address), flags="DF") / ICMP(type=0)
        lab.server.receive_inner(bytes(header / bytes(size - 28)))
    lab.run(1)
    assert {len(packet) for packet in client.inner} == {min(mru, 1400)}
    there = bytes(IP(src=str(client.address), dst=INNER_SERVER) / ICMP() / bytes(1372))
    client.send(there)
    lab.run(1)
    assert lab.server.inner[-1] == there, "our MRU is not theirs"


def test_all_other_protocols_at_once() -> None:
    protocols = (IPV6CP, CCP, ACSCP, MPLSCP, 0x8053, 0x802B, 0x80C1)
    ppp = replace(WINDOWS_10.ppp, before=tuple((number, ()) for number in protocols))
    client = log_in(with_ppp(WINDOWS_10, ppp))
    assert refused(client.ppp) == set(protocols)


@pytest.mark.parametrize("first_id", [0, 1, 255])
@pytest.mark.parametrize("shared", [True, False])
def test_packet_numbers_that_begin_anywhere(first_id: int, shared: bool) -> None:
    log_in(with_ppp(MACOS, replace(MACOS.ppp, first_id=first_id, shared_ids=shared)))


@pytest.mark.parametrize("more", [(), ((13, "06"),), ((17, "064e"), (19, "011d161f22"), (23, ""))])
def test_options_of_callback_and_multilink(more: tuple[tuple[int, str], ...]) -> None:
    """All that is not wanted is rejected in one answer: the second request is the last."""
    ppp = replace(WINDOWS_10.ppp, lcp=((MRU, "0578"), NUMBER, *more))
    client = log_in(with_ppp(WINDOWS_10, ppp))
    asked = [entry for entry in client.ppp.log if entry[:2] == (0xC021, 1)]
    assert len(asked) == (2 if more else 1)


@pytest.mark.parametrize("echo", [10.0, 20.0, 30.0])
@pytest.mark.parametrize("profile", [MACOS, CHROMEOS], ids=str)
def test_echoes_both_ways(profile: Profile, echo: float) -> None:
    """A client that hears no answer hangs up after the fourth; so do we."""
    lab = Lab()
    client = log_in(with_ppp(profile, replace(profile.ppp, echo=echo)), lab)
    lab.run(600)
    assert up(client)
    codes = [entry[1] for entry in client.ppp.log]
    assert codes.count(9) >= 600 / echo
    assert codes.count(10) >= 5, "we asked, too"
    lab.simulation.link = Link(loss=1.0)
    lab.run(5 * echo + 1)
    assert client.state is ClientState.CLOSED
    assert client.why == "the server answers no echo"


def test_a_client_without_anything_optional() -> None:
    """No magic number, no compression, no MRU, no name servers."""
    ppp = replace(WINDOWS_XP.ppp, lcp=(), ipcp=((3, "00000000"),), before=(), identifications=())
    client = log_in(with_ppp(WINDOWS_XP, ppp))
    assert client.dns == ()


def test_call_serial_numbers_and_bearers_of_any_value() -> None:
    l2tp = replace(
        MIKROTIK.l2tp,
        icrq=lambda session: [avp(14, u16(session)), avp(15, u32(0xFFFFFFFF)), avp(18, u32(3))],
    )
    log_in(with_l2tp(MIKROTIK, l2tp))
