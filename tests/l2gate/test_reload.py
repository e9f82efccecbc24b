"""What a reload does to certificates. Users and departments: tests/interop."""

import os
import time

import pytest

from ipsec.credentials import Credentials
from l2gate.gateway import Gateway
from l2gate.reloading import changes
from tests.support import certificates
from tests.support.lab import with_ipsec

OLD, NEW = certificates.server(), certificates.server(certificates.client_certificate())


@pytest.mark.parametrize(("before", "after"), [(OLD, NEW), (None, NEW), (OLD, None)])
def test_new_certificates_take_the_place_of_old_ones(
    before: Credentials | None, after: Credentials | None
) -> None:
    gateway = Gateway(with_ipsec(credentials=before), os.urandom, time.time)
    found = changes(with_ipsec(credentials=before), with_ipsec(credentials=after), gateway)
    assert found.credentials
    assert found.sections == ()
    gateway.replace_credentials(with_ipsec(credentials=after))
    assert gateway.ike._context.config.credentials is after


def test_the_same_certificates_are_no_change() -> None:
    gateway = Gateway(with_ipsec(credentials=OLD), os.urandom, time.time)
    again = with_ipsec(credentials=certificates.server())
    assert not changes(with_ipsec(credentials=OLD), again, gateway).credentials
