"""Which SA goes out: the newest that the peer is known to have."""

from random import Random

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import EspTransform
from ipsec.esp import InboundSa, OutboundSa
from ipsec.events import PeerAuthenticated, SaInstalled
from ipsec.path import Address, Path
from ipsec.payloads import Identification
from l2gate.peers import MAX_DRAINING, Peers
from l2gate.records import Tables

GCM = EspAlgorithms(EspTransform.AES_GCM_16, 128)
PATH = Path(Address("203.0.113.1", 4500), Address("198.51.100.7", 4500))
THEIRS = Identification.of_address("198.51.100.7")
OURS = Identification.of_address("203.0.113.1")


def installed(spi: int, encapsulated: bool = True) -> SaInstalled:
    keys = bytes(GCM.keymat_length), b""
    inbound = InboundSa(spi, GCM, *keys)
    outbound = OutboundSa(spi + 1, GCM, *keys, Random(1).randbytes)
    return SaInstalled(1, inbound, outbound, PATH, encapsulated, OURS, THEIRS, None, "", 3600, None)


def with_pairs(*spis: int, tables: Tables | None = None) -> Peers:
    peers = Peers(Tables() if tables is None else tables)
    peers.add(PeerAuthenticated(1, PATH, THEIRS, "", ""))
    for spi in spis:
        peers.install(installed(spi))
    return peers


def outbound(peers: Peers) -> int | None:
    peer = peers.get(1)
    assert peer is not None
    sa = peer.record.outbound
    return None if sa is None else sa.spi - 1


def test_nothing_goes_out_before_the_pair_is_confirmed() -> None:
    peers = with_pairs(0x1000)
    assert outbound(peers) is None
    peers.confirm(1, 0x1000)
    assert outbound(peers) == 0x1000


def test_an_old_pair_that_is_confirmed_late_changes_nothing() -> None:
    peers = with_pairs(0x1000, 0x2000, 0x3000)
    for spi, expected in ((0x1000, 0x1000), (0x3000, 0x3000), (0x2000, 0x3000)):
        peers.confirm(1, spi)
        assert outbound(peers) == expected


def test_when_the_newest_is_gone_the_next_takes_over() -> None:
    peers = with_pairs(0x1000, 0x2000, 0x3000)
    peers.confirm(1, 0x1000)
    peers.confirm(1, 0x3000)
    for spi, expected in ((0x3000, 0x1000), (0x2000, 0x1000), (0x1000, None)):
        peers.uninstall(1, spi)
        assert outbound(peers) == expected


def test_a_pair_that_drains_lets_in_and_nothing_out() -> None:
    tables = Tables()
    peers = with_pairs(0x1000, 0x2000, tables=tables)
    peers.confirm(1, 0x1000)
    peers.confirm(1, 0x2000)
    peers.drain(1, 0x2000)
    assert outbound(peers) == 0x1000
    assert set(tables.sas) == {0x1000, 0x2000}
    peers.drain(1, 0x1000)
    assert outbound(peers) is None
    for spi in (0x1000, 0x3000, 0x1000):
        peers.drained(spi)
        assert set(tables.sas) == {0x2000}
    peers.remove(1)
    assert tables.sas == {}
    peers.drained(0x2000)


def test_an_spi_that_is_given_out_anew_does_not_drain() -> None:
    tables = Tables()
    peers = with_pairs(0x1000, tables=tables)
    peers.drain(1, 0x1000)
    peers.install(installed(0x1000))
    peers.drained(0x1000)
    assert set(tables.sas) == {0x1000}


def test_few_drain_at_one_time() -> None:
    tables = Tables()
    peers = with_pairs(*range(0x1000, 0x1100, 2), tables=tables)
    for spi in range(0x1000, 0x1100, 2):
        peers.drain(1, spi)
    assert set(tables.sas) == set(range(0x1000, 0x1000 + 2 * MAX_DRAINING, 2))


def test_what_is_not_there_is_not_confirmed() -> None:
    peers = with_pairs(0x1000)
    peers.confirm(1, 0x4000)
    peers.confirm(2, 0x1000)
    peers.uninstall(2, 0x4000)
    assert outbound(peers) is None
