"""The TUN device, in a network namespace of the test's own."""

import errno
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from scapy.layers.inet import IP, UDP

from l2gate import tun
from l2gate.batch import BATCH
from l2gate.tun import Tun, TunError
from tests.support.namespaces import new_namespace, run


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with new_namespace() as namespace, namespace:
        yield


@pytest.fixture
def device() -> Iterator[Tun]:
    with closing(Tun("l2gate%d")) as device:
        assert device.name == "l2gate0"
        run("sysctl -w net.ipv6.conf.l2gate0.disable_ipv6=1")
        run("ip addr add 172.16.1.1/24 dev l2gate0")
        run("ip link set l2gate0 up")
        yield device


def test_packets_come_from_the_kernel_in_batches(device: Tun) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for n in range(BATCH + 7):
            sock.sendto(bytes([n]), ("172.16.1.51", 9))
    first, second = device.receive(), device.receive()
    assert (len(first), len(second)) == (BATCH, 7)
    assert [IP(packet)[UDP].load for packet in [*first, *second]] == [
        bytes([n]) for n in range(BATCH + 7)
    ]
    assert device.receive() == []


def test_packets_go_to_the_kernel(device: Tun) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("172.16.1.1", 9))
        sock.settimeout(5)
        packet = bytes(IP(src="172.16.1.51", dst="172.16.1.1") / UDP(sport=7, dport=9) / b"in")
        device.send([packet, memoryview(packet)])
        assert [sock.recvfrom(100) for _ in range(2)] == [(b"in", ("172.16.1.51", 7))] * 2
    assert device.drops == 0


def test_what_the_kernel_refuses_is_a_drop_and_no_more(device: Tun) -> None:
    device.send([b"", b"\x99garbage"])
    refused = device.drops
    assert refused >= 1
    run("ip link set l2gate0 down")
    device.send([bytes(IP(src="172.16.1.51", dst="172.16.1.1"))])
    assert device.drops == refused + 1
    assert device.receive() == []


def test_the_device_goes_with_the_program() -> None:
    Tun("l2gate7").close()
    assert "l2gate7" not in run("ip link show")


@pytest.mark.parametrize("name", ["", "a-name-of-16-octs"])
def test_names_that_no_device_can_have(name: str) -> None:
    with pytest.raises(TunError, match="no name of a network device"):
        Tun(name)


def test_a_device_in_use(device: Tun) -> None:
    with pytest.raises(TunError, match="another program"):
        Tun("l2gate0")


def test_a_device_of_another_kind() -> None:
    with pytest.raises(TunError, match="of another kind"):
        Tun("lo")


def test_a_user_who_may_not_open_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, _flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr("l2gate.tun.os.open", refuse)
    with pytest.raises(TunError, match=r"Permission denied .*chmod 666 /dev/net/tun"):
        Tun("test0")


def test_a_machine_without_tun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tun, "_DEVICE", "/dev/net/no-such-device")
    with pytest.raises(TunError, match="--device /dev/net/tun"):
        Tun("l2gate0")
