"""What a reload does to certificates. Users and departments: tests/interop."""

from dataclasses import replace
from pathlib import Path

import pytest

from ipsec.credentials import Credentials
from l2gate.configuration import IpsecSettings
from l2gate.server import Server
from tests.support import certificates
from tests.support.lab import configuration

OLD, NEW = certificates.server(), certificates.server(certificates.client_certificate())


def ipsec(credentials: Credentials | None) -> IpsecSettings:
    return replace(configuration().ipsec, credentials=credentials)


def test_new_certificates_take_the_place_of_old_ones(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(Path("l2gate.yaml"), replace(configuration(), ipsec=ipsec(OLD)))
    server._apply_credentials(ipsec(OLD), ipsec(NEW))
    assert server._gateway.ike._context.config.credentials is NEW
    assert caplog.messages == []


@pytest.mark.parametrize(("before", "after"), [(None, NEW), (OLD, None)])
def test_whether_there_are_any_is_decided_at_the_start(
    before: Credentials | None, after: Credentials | None, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(Path("l2gate.yaml"), replace(configuration(), ipsec=ipsec(before)))
    server._apply_credentials(ipsec(before), ipsec(after))
    assert server._gateway.ike._context.config.credentials is before
    assert caplog.messages == ["server: ipsec.certificate takes effect at the next start"]


def test_other_certificates_are_no_other_settings() -> None:
    """Else the log would say that they take effect at the next start."""
    assert ipsec(OLD) == ipsec(NEW)
    assert ipsec(OLD) != replace(ipsec(OLD), psk=None)
