"""Two Ikes over a simulated network: from the first message to the last."""

import pytest

from ipsec.constants import GroupDescription
from ipsec.events import PeerAuthenticated, SaInstalled
from tests.support.ike import CLIENT, SERVER, Pair, config
from tests.support.simulation import Link, Nat


def test_both_sides_agree() -> None:
    pair = Pair()
    pair.establish()
    pair.exchange()
    (authenticated,) = pair.server.told(PeerAuthenticated)
    assert str(authenticated.identity) == CLIENT
    assert authenticated.path.local == (SERVER, 500)
    (installed,) = pair.server.told(SaInstalled)
    assert not installed.encapsulated
    assert installed.original_address is None


def test_nat_moves_everything_to_port_4500() -> None:
    pair = Pair(nat=Nat("203.0.113.9"))
    pair.establish()
    pair.exchange()
    (installed,) = pair.server.told(SaInstalled)
    assert installed.encapsulated
    assert installed.path.local == (SERVER, 4500)
    assert installed.path.peer == ("203.0.113.9", 40001)
    assert installed.original_address == "10.0.0.2"


@pytest.mark.parametrize("seed", range(20))
def test_loss_reordering_and_duplication_do_no_harm(seed: int) -> None:
    link = Link(delay=0.02, jitter=0.2, loss=0.2, duplication=0.3)
    pair = Pair(nat=Nat("203.0.113.9"), link=link, seed=seed)
    pair.establish(120.0)
    pair.simulation.link = Link()
    pair.simulation.run(5.0)
    pair.exchange()
    assert len(pair.server.told(PeerAuthenticated)) == 1
    assert len(pair.server.told(SaInstalled)) == 1


@pytest.mark.parametrize("group", [None, GroupDescription.ECP_256, GroupDescription.MODP_2048])
def test_perfect_forward_secrecy(group: GroupDescription | None) -> None:
    pair = Pair(client=config(pfs_group=group))
    pair.establish()
    pair.exchange()
