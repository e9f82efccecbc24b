"""A login that was recorded, as Wireshark decrypts it with the keys that were recorded too."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import AuthenticationAlgorithm as Hmac
from ipsec.constants import EncryptionAlgorithm, EspTransform, GroupDescription, HashAlgorithm
from ipsec.offers import IkeSuite
from l2gate.configuration import Proposals
from l2gate.recording import Recording
from tests.support import tshark
from tests.support.client import ClientHost, ClientState
from tests.support.esp import name
from tests.support.lab import assert_passes_traffic, up
from tests.support.native.profiles import ANDROID_10
from tests.support.recorder import RecordedLab, Sink
from tests.support.simulation import Nat, Wire

PUBLIC = "198.51.100.7"
GCM = EspAlgorithms(EspTransform.AES_GCM_16, 256)
SUITES = (
    GCM,
    EspAlgorithms(EspTransform.AES_GCM_16, 128),
    EspAlgorithms(EspTransform.AES_CBC, 128, Hmac.HMAC_SHA1),
    EspAlgorithms(EspTransform.AES_CBC, 256, Hmac.HMAC_SHA2_256),
    EspAlgorithms(EspTransform.TRIPLE_DES, 0, Hmac.HMAC_MD5),
    EspAlgorithms(EspTransform.DES, 0, Hmac.HMAC_SHA1),
    EspAlgorithms(EspTransform.NULL, 0, Hmac.HMAC_SHA1),
)


FIELDS = {
    "protocols": "frame.protocols",
    "direction": "frame.packet_flags_direction",
    "time": "frame.time_epoch",
    "checksum": "ip.checksum.status",
    "exchange": "isakmp.exchangetype",
    "identities": "isakmp.id.type",
    "hash": "isakmp.hash",
    "l2tp": "l2tp.avp.message_type",
    "bad_icv": "esp.icv_bad",
    "severity": "_ws.expert.severity",
}
INBOUND, OUTBOUND = "0x00000001", "0x00000002"
ERROR = 0x800000


class Dissected(dict[str, str]):
    """What Wireshark says of one packet, by the names above; empty where it says nothing."""

    def has(self, *protocols: str) -> bool:
        return set(protocols) <= set(self["protocols"].split(":"))


def dissect(sink: Sink, directory: Path) -> list[Dissected]:
    """Write what was recorded as the command does, and let Wireshark read it."""
    recording = Recording(directory / "login.pcapng")
    for message in sink.told:
        recording.add(message)
    recording.close()
    options = [option for field in FIELDS.values() for option in ("-e", field)]
    check = ("-o", "ip.check_checksum:TRUE")
    lines = tshark.read(recording.path, recording.directory, *check, "-T", "fields", *options)
    return [Dissected(zip(FIELDS, line.split("\t"), strict=True)) for line in lines]


def dial(
    lab: RecordedLab, nat: bool = False, esp: Sequence[EspAlgorithms] = (GCM,), **settings: object
) -> ClientHost:
    """Put a client that wants these algorithms at PUBLIC, or behind it."""

    def prepare(client: ClientHost) -> None:
        context = client.ike._context
        changes: dict[str, object] = {"esp_offers": tuple(esp), **settings}
        context.config = replace(context.config, **changes)  # type: ignore[arg-type]

    router = Nat(PUBLIC) if nat else None
    return lab.client("u1", "192.168.77.11" if nat else PUBLIC, router, prepare=prepare)


def use(lab: RecordedLab, client: ClientHost) -> None:
    assert lab.run(10, lambda: client.state is ClientState.UP), client.why
    assert_passes_traffic(lab, client)


def assert_readable(packets: list[Dissected]) -> None:
    main_mode = [packet for packet in packets if packet["exchange"] == "2"]
    quick_mode = [packet for packet in packets if packet["exchange"] == "32"]
    esp = [packet for packet in packets if packet.has("esp")]
    assert len(main_mode) + len(quick_mode) + len(esp) == len(packets)
    assert [bool(packet["identities"]) for packet in main_mode] == [False] * 4 + [True] * 2
    assert [bool(packet["hash"]) for packet in quick_mode] == [True] * 3
    assert all(packet.has("l2tp") for packet in esp)
    assert {"1", "2", "3", "10", "11", "12"} <= {packet["l2tp"] for packet in esp}
    for protocol in ("lcp", "chap", "ipcp", "icmp"):
        found = {packet["direction"] for packet in esp if packet.has("ppp", protocol)}
        assert found == {INBOUND, OUTBOUND}, protocol
    assert {packet["bad_icv"] for packet in esp} == {"0"}
    for packet in packets:
        assert not packet.has("_ws.malformed")
        assert int(packet["severity"] or "0", 0) < ERROR, packet


@pytest.mark.parametrize("nat", [False, True], ids=["direct", "NAT"])
@pytest.mark.parametrize("suite", SUITES, ids=name)
def test_a_login_can_be_read(suite: EspAlgorithms, nat: bool, tmp_path: Path) -> None:
    lab = RecordedLab(Proposals.LAB)
    sink = lab.host.record(PUBLIC)
    use(lab, dial(lab, nat, [suite]))
    packets = dissect(sink, tmp_path)
    assert_readable(packets)
    assert all(packet.has("udp", "udpencap") == nat for packet in packets if packet.has("esp"))


def test_a_login_of_a_client_that_truncates_as_the_draft_did(tmp_path: Path) -> None:
    """The keys are told once its first packet has shown that it does."""
    lab = RecordedLab(Proposals.LEGACY)
    sink = lab.host.record(PUBLIC)
    client = lab.native(ANDROID_10)
    assert client.profile.phase2.draft_icv
    assert lab.run(16, lambda: up(client))
    assert_passes_traffic(lab, client)
    assert len(sink.lines("esp_sa")) == 2
    esp = [packet for packet in dissect(sink, tmp_path) if packet.has("esp")]
    assert sum(packet.has("icmp") for packet in esp) == 2
    assert all(packet.has("l2tp") for packet in esp)
    assert {packet["bad_icv"] for packet in esp} == {"0"}


def test_the_other_cipher_of_ike(tmp_path: Path) -> None:
    """Its key is longer than SKEYID_e, so that it is expanded (RFC 2409 appendix B)."""
    triple_des = IkeSuite(
        EncryptionAlgorithm.TRIPLE_DES_CBC, 0, HashAlgorithm.SHA1, GroupDescription.MODP_1024
    )
    lab = RecordedLab(Proposals.LEGACY)
    sink = lab.host.record(PUBLIC)
    use(lab, dial(lab, ike_offers=(triple_des,)))
    assert_readable(dissect(sink, tmp_path))


def test_all_of_the_wire_is_there_in_its_order_and_at_its_time(tmp_path: Path) -> None:
    lab = RecordedLab()
    sink = lab.host.record(PUBLIC)
    carried: list[Wire] = []
    lab.simulation.blocks = lambda packet: bool(carried.append(packet))
    use(lab, dial(lab))
    packets, told = dissect(sink, tmp_path), sink.of("packet")
    assert len(packets) == len(told) == len(carried)
    assert [packet["direction"] == INBOUND for packet in packets] == [m["inbound"] for m in told]
    times = [float(packet["time"]) for packet in packets]
    assert times == sorted(times)
    assert times == pytest.approx([message["time"] for message in told], abs=1e-6)
    assert {packet["checksum"] for packet in packets} == {"1,1", "1"}


def test_new_keys_of_a_session_that_goes_on(tmp_path: Path) -> None:
    """Of SAs that were there before only ESP can be read: for ISAKMP messages Wireshark needs
    the main mode."""
    lab = RecordedLab()
    client = dial(lab, ike_lifetime=600, esp_lifetime=300, pfs_group=GroupDescription.MODP_2048)
    use(lab, client)
    sink = lab.host.record("u1")
    assert (len(sink.lines("esp_sa")), len(sink.lines("ikev1_decryption_table"))) == (2, 1)
    lab.run(900)
    assert_passes_traffic(lab, client)
    keys = sink.lines("esp_sa") + sink.lines("ikev1_decryption_table")
    assert len(keys) == len(set(keys)) > 8, "each is told once"
    packets = dissect(sink, tmp_path)
    assert sum(packet.has("esp", "icmp") for packet in packets) == 2
    assert all(packet.has("l2tp") for packet in packets if packet.has("esp"))
    renewals = [packet for packet in packets if packet["exchange"] == "2"]
    assert [bool(packet["identities"]) for packet in renewals[:6]] == [False] * 4 + [True] * 2
