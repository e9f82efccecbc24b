"""Logins by EAP and changes of the password, in whole; and the ways to get them wrong.

What is expected of each stands in the second table of docs/troubleshooting.md.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from l2gate.configuration.eap import tls_context
from l2gate.events import Event, PasswordChangeRequested
from l2gate.history import Attempt
from ppp.config import EapMethod, Method
from tests.support.client import ClientHost, ClientState
from tests.support.eap_tls import EapTlsPeer
from tests.support.lab import Lab, assert_passes_traffic, configuration
from tests.support.password_change import NEW, ChangingPeer
from tests.support.tls_certificates import DAY, Authority

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md").read_text()
SECTION = TEXT.split("## EAP and expired passwords")[1].split("\n## ")[0]
NAME = "u0@sales.example.com"

BOTH = (EapMethod.TLS, EapMethod.MS_CHAP_V2)
Files = tuple[Path, Path]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def a_lab(authority: Authority, methods: tuple[EapMethod, ...] = BOTH) -> Lab:
    """Return a lab whose server asks for EAP."""
    lab = Lab()
    calls = lab.server.gateway.calls
    calls._links = replace(
        calls._links,
        methods=(Method.EAP,),
        eap_methods=methods,
        tls=tls_context(authority.for_server()),
    )
    return lab


def with_eap(client: ClientHost) -> None:
    client._link_config = replace(client._link_config, methods=(Method.EAP,))


def with_pap(client: ClientHost) -> None:
    client._link_config = replace(client._link_config, methods=(Method.PAP,))


def let_clients_have(
    patch: pytest.MonkeyPatch, ca: Authority, files: Files, lab: Lab, name: str = NAME
) -> ClientHost:
    """Put a client with a certificate at the network."""
    patch.setattr("ppp.link.EapPeer", EapTlsPeer.maker(ca, files))
    return lab.client(name, prepare=with_eap)


def test_a_login_by_eap_mschapv2(authority: Authority) -> None:
    """Our first method is EAP-TLS, which this client has not."""
    lab = a_lab(authority)
    client = lab.client(NAME, prepare=with_eap)
    assert lab.run(10, lambda: client.state is ClientState.UP), client.why
    assert_passes_traffic(lab, client)
    assert lab.server.noted("logged in by EAP-MSCHAPv2")


@pytest.mark.parametrize("name", [NAME, f"LAPTOP\\{NAME}"])
def test_a_login_by_eap_tls(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Over a link with an MRU of 1400; the certificates take several packets."""
    lab = a_lab(authority)
    must_change(lab)
    files = authority.issue(NAME, rsa_bits=2048)
    client = let_clients_have(monkeypatch, authority, files, lab, name)
    assert lab.run(10, lambda: client.state is ClientState.UP), client.why
    assert_passes_traffic(lab, client)
    assert lab.server.noted("logged in by EAP-TLS")


class Expected(NamedTuple):
    """A row of the table."""

    stage: str
    why: str
    mend: str
    windows: str


def rows() -> dict[str, Expected]:
    found = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", SECTION, re.M)
    return {row[0]: Expected(*row[1:]) for row in found[1:] if not row[0].startswith("-")}


def with_user(lab: Lab, **settings: object) -> None:
    whole = configuration().directory
    user = replace(whole.users[NAME], **settings)  # type: ignore[arg-type]
    lab.server.gateway.replace_directory(
        replace(whole, users={**whole.users, NAME: user}), lab.simulation.now
    )


def must_change(lab: Lab) -> None:
    with_user(lab, must_change_password=True)


def refuse_to_store(lab: Lab) -> None:
    """Be a program that cannot write its file."""
    gateway = lab.server.gateway
    next_event = gateway.next_event

    def next_other() -> Event | None:
        event = next_event()
        if isinstance(event, PasswordChangeRequested):
            why = "No space left on device"
            gateway.password_stored(event.session, event.request, why, lab.simulation.now)
        return event

    gateway.next_event = next_other  # type: ignore[method-assign]


Mistake = Callable[[pytest.MonkeyPatch, Authority], Lab]


def no_method(patch: pytest.MonkeyPatch, ca: Authority) -> Lab:
    lab = a_lab(ca, (EapMethod.TLS,))
    lab.client(NAME, prepare=with_eap)
    return lab


def wrong_password(patch: pytest.MonkeyPatch, ca: Authority) -> Lab:
    lab = a_lab(ca)
    lab.client(NAME, password="wrong", prepare=with_eap)
    return lab


def certificate(**settings: object) -> Mistake:
    def make(patch: pytest.MonkeyPatch, ca: Authority) -> Lab:
        lab = a_lab(ca)
        files = ca.issue(str(settings.pop("name", NAME)), **settings)  # type: ignore[arg-type]
        let_clients_have(patch, ca, files, lab)
        return lab

    return make


def another_ca(patch: pytest.MonkeyPatch, ca: Authority) -> Lab:
    lab = a_lab(ca)
    other = Authority(ca.directory, "Another CA")
    let_clients_have(patch, ca, other.issue(NAME), lab)
    return lab


def distrust(patch: pytest.MonkeyPatch, ca: Authority) -> Lab:
    lab = a_lab(ca)
    other = Authority(ca.directory, "Another CA")
    let_clients_have(patch, other, ca.issue(NAME), lab)
    return lab


def unknown_user(patch: pytest.MonkeyPatch, ca: Authority) -> Lab:
    lab = a_lab(ca)
    let_clients_have(patch, ca, ca.issue("eve"), lab, "eve")
    return lab


def disabled(patch: pytest.MonkeyPatch, ca: Authority) -> Lab:
    lab = a_lab(ca)
    with_user(lab, disabled=True)
    let_clients_have(patch, ca, ca.issue(NAME), lab)
    return lab


def expired(prepare: Callable[[ClientHost], None]) -> Mistake:
    def make(patch: pytest.MonkeyPatch, ca: Authority) -> Lab:
        lab = Lab()
        must_change(lab)
        lab.client(NAME, prepare=prepare)
        return lab

    return make


def changing(new: str) -> Mistake:
    def make(patch: pytest.MonkeyPatch, ca: Authority) -> Lab:
        lab = Lab()
        must_change(lab)
        refuse_to_store(lab)
        patch.setattr(
            "ppp.link.ChapPeer",
            lambda method, credentials, entropy, send: ChangingPeer(
                credentials, entropy, send, new
            ),
        )
        lab.client(NAME)
        return lab

    return make


MISTAKES: dict[str, Mistake] = {
    "the client has none of the EAP methods": no_method,
    "the password is wrong (EAP-MSCHAPv2)": wrong_password,
    "the client's certificate has expired": certificate(ends=-DAY),
    "the client's certificate is of another CA": another_ca,
    "the client's certificate is for another name": certificate(name="bob"),
    "the client does not trust the server's certificate": distrust,
    "there is no such user (EAP-TLS)": unknown_user,
    "the user is disabled (EAP-TLS)": disabled,
    "the password must change, and the client does not": expired(lambda client: None),
    "the password must change, and the client has PAP": expired(with_pap),
    "the new password is empty": changing(""),
    "the new password cannot be stored": changing(NEW),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_the_record_says_what_is_wrong(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    lab = MISTAKES[what](monkeypatch, authority)
    assert lab.run(400, lambda: bool(attempts(lab)))
    lab.run(400)
    (attempt,) = attempts(lab)
    windows = "none" if attempt.windows is None else str(attempt.windows)
    found = Expected(attempt.stage, attempt.why, attempt.mend, windows)
    assert found == rows().get(what), f"| {what} | {' | '.join(found)} |"
    (line, *_) = lab.server.noted(attempt.why)
    assert line.trouble
    assert str(line).endswith(f"(Windows error {windows})")


def attempts(lab: Lab) -> list[Attempt]:
    return list(lab.server.gateway.attempts)


def test_the_table_has_no_other_rows() -> None:
    assert list(rows()) == list(MISTAKES)
