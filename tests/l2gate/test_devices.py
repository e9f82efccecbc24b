"""The devices of departments, where the kernel refuses one: all stays as it was."""

import asyncio
import ctypes
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from ipaddress import IPv4Address, IPv4Network
from unittest.mock import Mock

import pytest

from aaa import AddressRange, Department, Directory, Pool, User
from l2gate.devices import Devices
from l2gate.events import RouteAdded
from l2gate.network import NetworkError
from l2gate.tun import Tun, TunError
from tests.support.namespaces import new_namespace, run

CAP_NET_ADMIN = 12
_VERSION_3 = 0x20080522


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with new_namespace() as namespace, namespace:
        yield


@contextmanager
def without_privilege() -> Iterator[None]:
    """Be, for a while, a thread that may not make devices (capset(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    sets[0] ^= 1 << CAP_NET_ADMIN
    assert libc.capset(header, sets) == 0
    try:
        yield
    finally:
        sets[0] ^= 1 << CAP_NET_ADMIN
        assert libc.capset(header, sets) == 0


def directory(*interfaces: str, **users: User) -> Directory:
    """A department behind each interface."""
    departments = [
        Department(
            f"d{n}",
            (f"d{n}",),
            Pool((AddressRange(IPv4Address(f"172.16.{n}.2"), IPv4Address(f"172.16.{n}.3")),)),
            IPv4Address(f"172.16.{n}.1"),
            interface=name,
        )
        for n, name in enumerate(interfaces)
    ]
    return Directory({each.name: each for each in departments}, users)


def links() -> str:
    return " ".join(line.split(": ")[1] for line in run("ip -o link show type tun").splitlines())


Step = Callable[[Devices], Coroutine[None, None, None]]


def with_devices(step: Step, *interfaces: str, mtu: int = 1400) -> None:
    async def whole() -> None:
        plan = directory(*interfaces)
        with closing(Devices(mtu, Mock())) as devices:
            devices.open(plan)
            async with devices:
                await devices.bring_up(plan, devices.names)
                await devices.follow(plan)
                await step(devices)
        assert links() == ""

    asyncio.run(whole())


def test_a_device_that_may_not_be_made() -> None:
    async def step(devices: Devices) -> None:
        with (
            without_privilege(),
            pytest.raises(TunError, match=r"TUN device lns1: .*CAP_NET_ADMIN is missing"),
        ):
            await devices.add(directory("lns0", "lns1"))
        assert devices.names == ["lns0"]
        assert "172.16.0.1/32" in run("ip addr show lns0")
        assert await devices.add(directory("lns0", "lns1")) == ["lns1"]

    with_devices(step, "lns0")


def test_of_several_devices_one_is_refused() -> None:
    async def step(devices: Devices) -> None:
        with closing(Tun("taken")):
            with pytest.raises(TunError, match="another program"):
                await devices.add(directory("lns0", "lns1", "taken", "lns2"))
            assert devices.names == ["lns0"]
            assert links() == "lns0 taken"

    with_devices(step, "lns0")


def test_a_device_that_does_not_come_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def step(devices: Devices) -> None:
        monkeypatch.setattr(devices, "_mtu", 17)
        with pytest.raises(NetworkError, match="lns1 cannot be set up"):
            await devices.add(directory("lns0", "lns1"))
        assert links() == "lns0"
        assert run("sysctl -n net.ipv4.ip_forward") == "1\n"

    with_devices(step, "lns0")


def test_a_start_that_fails_half_way() -> None:
    with closing(Tun("taken")), closing(Devices(1400, Mock())) as devices:
        with pytest.raises(TunError):
            devices.open(directory("lns0", "taken"))
        assert links() == "taken lns0"
    assert links() == ""


def test_a_department_moves_with_all_that_is_its(caplog: pytest.LogCaptureFixture) -> None:
    """To a new device, to one that is there, and back; the old one's changes do not matter."""
    client = IPv4Network("172.16.0.2")

    async def step(devices: Devices) -> None:
        for first, second in (("new", "b"), ("b", "b"), ("a", "b"), ("b", "a"), ("a", "b")):
            plan = directory(first, second)
            await devices.add(plan)
            gone = await devices.follow(plan)
            assert not gone & {first, second}
            devices.route(RouteAdded(client, IPv4Address("172.16.0.1"), "d0", first))
            await devices._network.settle()
            assert links().split() == sorted({first, second}, key=links().index)
            for n, name in enumerate((first, second)):
                assert f"inet 172.16.{n}.1/32" in run(f"ip addr show {name}")
                assert f"172.16.{n}.2/31" in run(f"ip route show dev {name}")
            assert "172.16.0.2 proto static" in run(f"ip route show dev {first}")
            assert run("ip route show").count("metric") == 2

    with_devices(step, "a", "b")
    assert caplog.text == ""


def test_networks_behind_users_follow_their_departments() -> None:
    behind = IPv4Network("10.9.0.0/24")

    async def step(devices: Devices) -> None:
        user = User("u@d1", "secret", routes=(behind,))
        await devices.follow(directory("a", "b", u=user))
        await devices._network.settle()
        assert str(behind) in run("ip route show dev b")

    with_devices(step, "a", "b")


def test_packets_for_a_device_that_is_gone_are_lost() -> None:
    async def step(devices: Devices) -> None:
        await devices.follow(directory("a"))
        devices.send([("b", [b"\x45" + bytes(19)])])

    with_devices(step, "a", "b")


def test_what_is_routed_into_any_device_is_read() -> None:
    async def step(devices: Devices) -> None:
        loop = asyncio.get_running_loop()
        devices.attach(loop)
        await devices.add(directory("a", "b"))
        await devices.follow(directory("a", "b"))
        await devices._network.settle()
        reader = devices._receive
        assert isinstance(reader, Mock)
        for name in ("a", "b"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"x", (f"172.16.{'ab'.index(name)}.2", 9))
            while not reader.called:
                await asyncio.sleep(0.01)
            (tun,) = reader.call_args.args
            assert tun.name == name
            tun.receive()
            reader.reset_mock()
        devices.detach()

    with_devices(step, "a")


def test_what_the_kernel_does_not_take_is_counted_beyond_the_device() -> None:
    async def step(devices: Devices) -> None:
        devices.send([("a", [b"\x99garbage"])])
        assert devices.drops == 1
        devices.close()
        assert devices.drops == 1

    with_devices(step, "a")
