"""Renewals, deletes and moves in any order, some of their messages lost: traffic goes on."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from ipsec.events import PeerClosed, Why
from ipsec.peers import GRACE, MAX_ISAKMP_SAS, MAX_PAIRS
from tests.support.ike import IkeHost, Pair, config
from tests.support.simulation import Link, Nat
from wire import LocalError

QUIET = config(dpd_interval=None)


def act(pair: Pair, nat: Nat, action: str) -> None:
    now, lossy = pair.simulation.now, pair.simulation.link.loss > 0
    client: IkeHost = pair.client
    peer = next(iter(client.ike._peers.by_id.values()))
    server = next(iter(pair.server.ike._peers.by_id), 0)
    pairs = list(peer.pairs.values())
    with suppress(LocalError):  # there may be nothing to renew just now, or nobody
        match action:
            case "the client renews ESP":
                client.ike.rekey_esp(peer.id, now)
            case "the server renews ESP":
                pair.server.ike.rekey_esp(server, now)
            case "the client renews ISAKMP":
                client.ike.rekey_ike(peer.id, now)
            case "the client deletes its oldest pair" if len(pairs) > 1:
                client.ike._peers.delete_pair(pairs[0], Why.CLOSED)
            # Nothing heals the loss of a Delete of the pair that we send on.
            case "the client deletes its newest pair" if len(pairs) > 1 and not lossy:
                client.ike._peers.delete_pair(pairs[-1], Why.CLOSED)
            case "the client deletes its oldest ISAKMP SA" if len(peer.isakmp_sas) > 1:
                client.ike._peers.delete_isakmp_sa(peer.isakmp_sas[0])
            case "NAT moves the client":
                nat.forget()
            case "the client speaks" if client.sending is not None:
                client.send(b"something")


ACTIONS = (
    "the client renews ESP",
    "the server renews ESP",
    "the client renews ISAKMP",
    "the client deletes its oldest pair",
    "the client deletes its newest pair",
    "the client deletes its oldest ISAKMP SA",
    "NAT moves the client",
    "the client speaks",
)
steps = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.sampled_from([0.0, 0.015, 0.1, 3.0, 40.0])), max_size=12
)


@given(steps, st.integers(0, 100), st.sampled_from([0.0, 0.2]))
def test_nothing_that_both_sides_do_ends_the_session(
    todo: list[tuple[str, float]], seed: int, loss: float
) -> None:
    nat = Nat("203.0.113.9")
    pair = Pair(QUIET, QUIET, nat, seed=seed)
    pair.establish()
    (first,) = pair.server.ike._peers.by_id
    pair.simulation.link = Link(delay=0.02, jitter=0.02, loss=loss)
    for action, pause in todo:
        act(pair, nat, action)
        pair.simulation.run(pause)
    pair.simulation.link = Link()
    pair.simulation.run(2 * GRACE)
    pair.client.send(b"here I am")
    pair.simulation.run(1.0)
    pair.exchange()
    assert {closed.why for closed in pair.server.told(PeerClosed)} <= {Why.JOINED}
    assert first in pair.server.ike._peers.by_id
    for peer in pair.server.ike._peers.by_id.values():
        assert len(peer.isakmp_sas) <= MAX_ISAKMP_SAS
        assert len(peer.pairs) <= MAX_PAIRS
        assert all(each.sa.peer is peer for each in peer.pairs.values())
