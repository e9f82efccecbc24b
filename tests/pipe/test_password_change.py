"""A change of the password at the login, from the client's packet to the program and back."""

from dataclasses import replace

import pytest

from aaa import Directory
from l2gate.events import PasswordChangeRequested
from ppp.authentication import Send
from ppp.config import Credentials, Method
from tests.support.client import ClientState
from tests.support.lab import PASSWORD, Lab, assert_passes_traffic, configuration
from tests.support.password_change import NEW, ChangingPeer
from wire import Entropy

NAME = "u0"


def directory(password: str = PASSWORD, must_change: bool = True) -> Directory:
    whole = configuration().directory
    user = replace(whole.users[NAME], password=password, must_change_password=must_change)
    return replace(whole, users={**whole.users, NAME: user})


class Changer:
    """Makes the ends of clients' links; `peers` are those that were."""

    def __init__(self) -> None:
        self.new = NEW
        self.peers: list[ChangingPeer] = []

    def __call__(
        self, method: Method, credentials: Credentials, entropy: Entropy, send: Send
    ) -> ChangingPeer:
        self.peers.append(ChangingPeer(credentials, entropy, send, self.new))
        return self.peers[-1]


@pytest.fixture
def changer(monkeypatch: pytest.MonkeyPatch) -> Changer:
    changer = Changer()
    monkeypatch.setattr("ppp.link.ChapPeer", changer)
    return changer


@pytest.fixture
def lab() -> Lab:
    lab = Lab()
    lab.server.gateway.replace_directory(directory(), 0.0)
    return lab


def requested(lab: Lab) -> PasswordChangeRequested | None:
    found = [e for e in lab.server.events if isinstance(e, PasswordChangeRequested)]
    return found[-1] if found else None


def test_a_new_password(lab: Lab, changer: Changer) -> None:
    client = lab.client(NAME)
    assert lab.run(10, lambda: requested(lab) is not None), client.why
    request = requested(lab)
    assert request is not None
    assert (request.user, request.password) == (NAME, NEW)
    assert NEW not in repr(request)
    assert not lab.run(20, lambda: client.state is ClientState.UP), "nothing before it is stored"
    gateway, now = lab.server.gateway, lab.simulation.now
    gateway.replace_directory(directory(NEW, must_change=False), now)
    gateway.password_stored(request.session, request.request, "", now)
    assert lab.run(10, lambda: client.state is ClientState.UP), client.why
    assert_passes_traffic(lab, client)


def test_a_new_password_that_cannot_be_stored(lab: Lab, changer: Changer) -> None:
    client = lab.client(NAME)
    assert lab.run(10, lambda: requested(lab) is not None)
    request = requested(lab)
    assert request is not None
    now = lab.simulation.now
    lab.server.gateway.password_stored(request.session, request.request, "the disk is full", now)
    assert lab.run(10, lambda: client.state is ClientState.FAILED)
    (peer,) = changer.peers
    assert peer.failures[-1].startswith(b"E=709 R=0 C=")
    assert peer.failures[-1].endswith(b" V=3 M=the password was not changed")
    noted = [str(event) for event in lab.server.events if "the disk is full" in str(event)]
    assert noted
    assert all(NEW not in line for line in map(str, lab.server.events))


def test_an_empty_one_is_not_even_stored(lab: Lab, changer: Changer) -> None:
    changer.new = ""
    client = lab.client(NAME)
    assert lab.run(10, lambda: client.state is ClientState.FAILED)
    assert requested(lab) is None


def test_an_answer_for_a_call_that_is_gone(lab: Lab, changer: Changer) -> None:
    client = lab.client(NAME)
    assert lab.run(10, lambda: requested(lab) is not None)
    request = requested(lab)
    assert request is not None
    client.hang_up(lab.simulation.now)
    assert lab.run(60, lambda: not len(lab.server.gateway.calls))
    now = lab.simulation.now
    lab.server.gateway.password_stored(request.session, request.request, "", now)
    assert not len(lab.server.gateway.aaa._places)
