"""Settings that contradict each other."""

import pytest

from l2tp.config import L2tpConfig
from wire import LocalError


def test_defaults() -> None:
    config = L2tpConfig(host_name="lns")
    assert config.secret is None
    assert not config.require_authentication
    assert config.hello_interval == 60
    assert config.retransmission_cycle == 31


def test_the_cycle_follows_the_intervals() -> None:
    config = L2tpConfig(host_name="lns", retransmit_interval=0.5, max_retransmissions=3)
    assert config.retransmission_cycle == 0.5 + 1 + 2 + 4


@pytest.mark.parametrize(
    "settings",
    [
        {"host_name": ""},
        {"host_name": "x", "require_authentication": True},
        {"host_name": "x", "require_authentication": True, "secret": b""},
        {"host_name": "x", "hide_avps": True},
        {"host_name": "x", "receive_window": 0},
        {"host_name": "x", "receive_window": 129},
        {"host_name": "x", "retransmit_cap": 7.9},
        {"host_name": "x", "max_tunnels": 40000},
        {"host_name": "x", "max_sessions": 40000},
    ],
    ids=str,
)
def test_contradictions(settings: dict[str, object]) -> None:
    with pytest.raises(LocalError):
        L2tpConfig(**settings)  # type: ignore[arg-type]


def test_the_secret_is_not_printed() -> None:
    assert "hush" not in repr(L2tpConfig(host_name="lns", secret=b"hush"))
