"""Native clients that have a certificate in place of the pre-shared key."""

from collections.abc import Callable

import pytest

from ipsec.credentials import Credentials
from tests.support import certificates
from tests.support.certificates import Authority, authority
from tests.support.lab import Lab, assert_passes_traffic, up, with_ipsec
from tests.support.native.certificates import Certified, certified, racoon, strongswan, windows
from tests.support.native.profile import Profile
from tests.support.native.profiles import CHROMEOS, LIBRESWAN, MACOS, STRONGSWAN, WINDOWS_10
from tests.support.simulation import Link, Nat

MIDDLE = Authority("Middle CA", authority())
CLIENTS = [
    (WINDOWS_10, windows),
    (MACOS, racoon),
    (STRONGSWAN, strongswan),
    (LIBRESWAN, strongswan),
    (CHROMEOS, strongswan),
]


def name(value: object) -> str:
    """Return what tells a value of a test from another, in each process alike."""
    return str(getattr(value, "__name__", value))


each_client = pytest.mark.parametrize(("profile", "form"), CLIENTS, ids=name)
Form = Callable[[Credentials], Certified]


def lab_with(credentials: Credentials, link: Link | None = None, seed: int = 1) -> Lab:
    lab = Lab(seed, link)
    lab.server.gateway.replace_credentials(with_ipsec(credentials=credentials))
    return lab


@each_client
@pytest.mark.parametrize("nat", [None, "198.51.100.1"], ids=["direct", "behind NAT"])
def test_login(profile: Profile, form: Form, nat: str | None) -> None:
    lab = lab_with(certificates.server())
    client = lab.native(
        certified(profile, form, certificates.client()),
        "u1@sales.example.com",
        "192.168.77.11" if nat else "198.51.100.7",
        Nat(nat) if nat else None,
    )
    assert lab.run(16, lambda: up(client)), (client.state, client.why, client.refusals)
    assert client.refusals == []
    assert_passes_traffic(lab, client)
    (attempt,) = lab.server.gateway.attempts
    assert attempt.identity == "CN=laptop,O=Example"
    assert attempt.ike_chosen.endswith("with RSA_SIGNATURES")
    client.hang_up(lab.simulation.now)
    lab.run(70)
    assert not len(lab.server.gateway.peers)


@each_client
def test_chains_over_a_bad_network(profile: Profile, form: Form) -> None:
    """Message 5 takes several fragments, some of which get lost."""
    chain = MIDDLE.issue(names=[f"{'x' * 50}{n}.example.com" for n in range(40)])
    client_credentials = certificates.credentials(chain, MIDDLE.certificate)
    lab = lab_with(certificates.server(), Link(loss=0.05, jitter=0.02), seed=3)
    client = lab.native(certified(profile, form, client_credentials))
    assert lab.run(90, lambda: up(client)), (client.state, client.why, client.refusals)
    assert max(client.ike.sizes) > 3000


def test_clients_of_both_kinds_at_one_server() -> None:
    lab, nat = lab_with(certificates.server()), Nat("198.51.100.1")
    clients = [
        lab.native(certified(WINDOWS_10, windows, certificates.client()), "u1", "10.0.0.1", nat),
        lab.native(WINDOWS_10, "u2", "10.0.0.2", nat),
        lab.native(certified(MACOS, racoon, certificates.client()), "u3", "10.0.0.3", nat),
        lab.native(MACOS, "u4", "10.0.0.4", nat),
    ]
    assert lab.run(16, lambda: up(*clients)), [client.refusals for client in clients]


def test_renewal_of_phase_1_with_a_certificate() -> None:
    """macOS begins a new main mode after 48 minutes; by then the server's certificate is new."""
    lab = lab_with(certificates.server())
    client = lab.native(certified(MACOS, racoon, certificates.client()))
    assert lab.run(16, lambda: up(client))
    leaf = authority().issue(
        "vpn.example.com", usages=certificates.SERVER_AUTH, names=["203.0.113.1"]
    )
    renewed = certificates.credentials(leaf)
    lab.server.gateway.replace_credentials(with_ipsec(credentials=renewed))
    lab.run(3000)
    assert client.refusals == []
    assert up(client)
    assert_passes_traffic(lab, client)


@pytest.mark.parametrize(
    ("profile", "form", "settings", "why"),
    [
        (WINDOWS_10, windows, {"usages": certificates.CLIENT_AUTH}, "not for servers"),
        (MACOS, racoon, {"names": ["192.0.2.9"]}, "203.0.113.1 is not in the certificate"),
    ],
    ids=name,
)
def test_what_clients_demand(
    profile: Profile, form: Form, settings: dict[str, object], why: str
) -> None:
    good = {"usages": certificates.SERVER_AUTH, "names": ["203.0.113.1"]}
    leaf = authority().issue("vpn.example.com", **{**good, **settings})  # type: ignore[arg-type]
    lab = lab_with(certificates.credentials(leaf))
    client = lab.native(certified(profile, form, certificates.client()))
    assert not lab.run(5, lambda: up(client))
    assert why in client.refusals[0]


def test_windows_finds_no_certificate_without_a_request_for_its_authority() -> None:
    trust = certificates.credentials().trust
    other = type(trust)((Authority("Another CA").certificate,))
    lab = lab_with(certificates.credentials(trust=other))
    client = lab.native(certified(WINDOWS_10, windows, certificates.client()))
    assert not lab.run(5, lambda: up(client))
    assert "no certificate fits the requests" in client.refusals[0]
