"""What several tests of the program are given."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from l2gate.forwarder import Forwarder
from l2gate.records import Tables
from l2gate.tun import Tun
from tests.support.dataplane import Upcalls
from tests.support.namespaces import Namespace


@pytest.fixture
def tables() -> Tables:
    return Tables()


@pytest.fixture
def upcalls() -> Upcalls:
    return Upcalls()


@pytest.fixture
def forwarder(tables: Tables, upcalls: Upcalls) -> Forwarder:
    return Forwarder(tables, upcalls)


@pytest.fixture
def device(lan: Namespace) -> Iterator[Tun]:
    """The server's TUN device, beside the network that the test module has as `lan`."""
    with closing(Tun("l2gate0")) as device:
        yield device
