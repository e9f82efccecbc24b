"""The simulators send what was logged: sizes, order and octets.

Numbers without a remark are logged.
"""

from dataclasses import replace

import pytest

from ipsec.constants import EncapsulationMode, ExchangeType, PayloadType, ProtocolId
from ipsec.message import Payload, Payloads
from ipsec.offers import describe, read_esp_offer, read_ike_offer
from ipsec.protection import Protection
from l2gate.configuration import Proposals
from tests.support import clients
from tests.support.lab import Lab, up
from tests.support.native.client import NativeClient
from tests.support.native.main_mode import MainMode
from tests.support.native.profile import Profile, Step
from tests.support.native.profiles import (
    ANDROID_7,
    MACOS,
    MACOS_10_12,
    MACOS_OLD,
    PROFILES,
    STRONGSWAN,
    WINDOWS_7,
    WINDOWS_10,
)
from tests.support.simulation import ESP_PORT, Nat, Wire


def session(profile: Profile, nat: Nat | None = None, host_name: str = "laptop") -> NativeClient:
    """Return a client after its login and its deletes.

    It sends them without a word of PPP before, because our server, told by PPP, deletes first.
    """
    lab = Lab(proposals=Proposals.LEGACY)
    host = "192.168.77.11" if nat else "198.51.100.7"
    client = lab.native(profile, nat=nat, host=host, host_name=host_name)
    assert lab.run(16, lambda: up(client)), client.refusals
    client.ike.delete(ProtocolId.ESP)
    client.ike.delete(ProtocolId.ISAKMP)
    lab.run(1)
    assert not len(lab.server.gateway.peers)
    return client


@pytest.mark.parametrize("profile", [WINDOWS_10, WINDOWS_7], ids=str)
def test_windows(profile: Profile) -> None:
    assert session(profile).ike.sizes == [408, 228, 76, 316, 60, 76, 92]
    assert session(profile, Nat("198.51.100.1")).ike.sizes == [408, 228, 76, 444, 60, 76, 92]


@pytest.mark.parametrize(("first", "size"), [(0, 228), (1, 196), (2, 388), (3, 388), (4, 260)])
def test_message_3_of_windows_for_each_group(first: int, size: int) -> None:
    """228 is logged, the others are computed."""
    offer = clients.windows_offer(clients.WINDOWS_10[first:])
    profile = replace(WINDOWS_10, phase1=replace(WINDOWS_10.phase1, offer=offer))
    assert session(profile).ike.sizes[1] == size


def test_sccrq_of_windows() -> None:
    (sccrq, *_) = session(WINDOWS_10, host_name="RWB-LAPTOP-DELL").lac.sent
    assert len(sccrq) == 108


@pytest.mark.parametrize(("profile", "size"), [(MACOS, 788), (MACOS_OLD, 500)], ids=str)
def test_message_1_of_macos(profile: Profile, size: int) -> None:
    """Computed from the source, and of the size that is known for it."""
    assert session(profile).ike.sizes[0] == size


def test_strongswan() -> None:
    """Message 3 with ECP-384 is logged; all after it is as recorded with strongSwan 5.9.8."""
    assert session(STRONGSWAN).ike.sizes[1:] == [212, 76, 220, 60, 76, 92]
    behind_nat = session(STRONGSWAN, Nat("198.51.100.1"))
    assert behind_nat.ike.sizes[1:] == [212, 76, 252, 60, 76, 92]


def test_messages_of_xl2tpd() -> None:
    """The first as another logged it, octet for octet; those after it as recorded."""
    client = session(STRONGSWAN, host_name="M2M")
    sccrq, scccn, icrq, iccn, *_ = client.lac.sent
    tunnel, session_id = (number.to_bytes(2).hex() for number in (client.lac.tunnel_id, 0))
    assert sccrq.hex(" ", 2) == bytes.fromhex(
        "C8020064 00000000 00000000 8008 0000 0000 0001 8008 0000 0002 0100"
        "800A 0000 0003 00000003 800A 0000 0004 00000000 0008 0000 0006 0690"
        f"8009 0000 0007 4D324D 0013 0000 0008 {b'xelerance.com'.hex()}"
        f"8008 0000 0009 {tunnel} 8008 0000 000A 0008"
    ).hex(" ", 2)
    assert [len(message) for message in (scccn, icrq, iccn)] == [20, 48, 50]
    assert scccn[6:12].hex() == f"{session_id}00010001"


@pytest.mark.parametrize("behind_nat", [False, True], ids=["direct", "behind NAT"])
def test_payloads_of_windows(behind_nat: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which strongSwan logged them."""
    clear, sealed = note_payloads(monkeypatch)
    client = session(WINDOWS_10, Nat("198.51.100.1") if behind_nat else None)
    natted = ["NAT_OA", "NAT_OA"] if behind_nat else []
    assert clear[:1] == [["SA", *["VENDOR"] * 8]]
    assert ["KE", "NONCE", "NAT_D", "NAT_D"] in clear
    assert [kinds for protection, kinds in sealed if protection is client.ike.main.protection] == [
        ["ID", "HASH"],
        ["HASH", "SA", "NONCE", "ID", "ID", *natted],
        ["HASH"],
        ["HASH", "DELETE"],
        ["HASH", "DELETE"],
    ]


def test_payloads_of_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    """INITIAL-CONTACT is in message 5 [S], and in no other main mode."""
    clear, sealed = note_payloads(monkeypatch)
    lab = Lab()
    client = lab.native(MACOS)
    assert lab.run(4000, lambda: client.ike.main_modes == 2)
    assert clear[:1] == [["SA", *["VENDOR"] * 12]]
    first, second = (main.protection for main in client.ike.mains)
    kinds = {protection: kinds for protection, kinds in reversed(sealed) if "ID" in kinds}
    assert kinds[first] == ["ID", "HASH", "NOTIFY"]
    assert kinds[second] == ["ID", "HASH"]


Noted = tuple[list[list[str]], list[tuple[Protection, list[str]]]]


def note_payloads(monkeypatch: pytest.MonkeyPatch) -> Noted:
    """Return lists that fill with the payloads of messages, those in clear and the others."""
    clear: list[list[str]] = []
    sealed: list[tuple[Protection, list[str]]] = []
    send, seal = MainMode._clear, Protection.seal

    def note_clear(self: MainMode, payloads: list[Payload]) -> bytes:
        clear.append([PayloadType(item.type).name for item in payloads])
        return send(self, payloads)

    def note_sealed(
        self: Protection, exchange: ExchangeType, number: int, content: Payloads, iv: bytes
    ) -> tuple[bytes, bytes]:
        sealed.append((self, [PayloadType(item.type).name for item in content.items]))
        return seal(self, exchange, number, content, iv)

    monkeypatch.setattr(MainMode, "_clear", note_clear)
    monkeypatch.setattr(Protection, "seal", note_sealed)
    return clear, sealed


def test_offer_of_macos_before_11_in_phase_2() -> None:
    """As strongSwan logged it."""
    offer = MACOS_10_12.phase2.offer(EncapsulationMode.TRANSPORT, bytes(4)).proposals[0]
    found = [read_esp_offer(transform) for transform in offer.transforms]
    assert [describe(one.algorithms) for one in found if one] == [
        f"{cipher}/HMAC_{hmac}"
        for cipher in ("AES_CBC-256", "AES_CBC-128", "TRIPLE_DES")
        for hmac in ("SHA1", "MD5")
    ]


def test_offer_of_networkmanager_in_phase_1() -> None:
    """As strongSwan logged it."""
    found = [read_ike_offer(one) for one in STRONGSWAN.phase1.offer.proposals[0].transforms]
    assert [str(one.suite) for one in found if one] == [
        *(f"AES_CBC-256/SHA2_256/MODP_{bits}" for bits in (2048, 1536, 1024)),
        *(f"AES_CBC-256/SHA1/{group}" for group in ("MODP_2048", "MODP_1536", "MODP_1024")),
        "AES_CBC-256/SHA1/ECP_384",
        "AES_CBC-128/SHA1/MODP_1024",
        "AES_CBC-128/SHA1/ECP_256",
        "TRIPLE_DES_CBC/SHA1/MODP_2048",
        "TRIPLE_DES_CBC/SHA1/MODP_1024",
    ]


def test_windows_hangs_up_in_four_seconds() -> None:
    """Terminate-Request, once more after 2 s without an answer, and 2 s later the Deletes."""
    lab = Lab()
    client = lab.native(WINDOWS_10)
    assert lab.run(16, lambda: up(client))
    lab.run(5)
    began, sent = lab.simulation.now, len(client.ike.sizes)
    moments: list[tuple[int, int]] = []

    def note(packet: Wire) -> bool:
        if packet.source.host == "198.51.100.7":
            moments.append((round(lab.simulation.now - began), packet.destination.port))
        return packet.destination.host == "198.51.100.7"

    lab.simulation.blocks = note
    client.hang_up(lab.simulation.now)
    lab.run(10)
    assert moments == [(0, ESP_PORT), (2, ESP_PORT), (4, 500), (4, 500)]
    assert client.ike.sizes[sent:] == [76, 92]


def test_messages_of_android() -> None:
    """As mtpd builds them [S]: no flag and no AVP more."""
    sccrq, scccn, icrq, iccn, *_ = session(ANDROID_7).lac.sent
    assert sccrq.hex() == (
        "c802004500000000000000008008000000000001800800000002"
        f"0100800f00000007{b'anonymous'.hex()}800a0000000300000003"
        f"800800000009{sccrq[-10:-8].hex()}80080000000a0001"
    )
    assert [len(message) for message in (scccn, icrq, iccn)] == [20, 38, 40]
    assert all(message[:2] == b"\xc8\x02" for message in (scccn, icrq, iccn))


def test_every_profile_says_how_it_hangs_up() -> None:
    assert all(Step.TERMINATE in profile.hang_up for profile in PROFILES)
    assert len({profile.name for profile in PROFILES}) == len(PROFILES)
