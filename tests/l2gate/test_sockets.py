"""Sockets on loopback, in a network namespace of the test's own."""

import ctypes
import errno
import os
import random
import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from ipsec.path import Address, Path
from l2gate import batch, sockets
from l2gate.batch import BATCH, Recvmmsg, Recvmsg
from l2gate.processes import who_holds_udp_port
from l2gate.sockets import BATCHES, BoundSocket, ListenError, Sockets, batches
from tests.support.namespaces import new_namespace, run


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    """On one processor the kernel delivers all packets of a namespace in one order."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    with new_namespace() as namespace, namespace:
        yield
    os.sched_setaffinity(0, processors)


def first(bound: BoundSocket) -> Sequence[tuple[bytes, Path]]:
    """Wait for a packet and receive it."""
    select.select([bound], [], [], 5)
    return bound.receive()


def add_ipv6(address: str, device: str) -> None:
    """Add an address and wait until the kernel takes packets for it."""
    run(f"ip -6 addr add {address} dev {device} nodad")
    local = f"local {address.partition('/')[0]} "
    while local not in run("ip -6 route show table local") or "tentative" in run("ip -6 addr"):
        pass


def delivered() -> None:
    """Wait until the kernel has delivered what was sent before: until a later packet is there."""
    with udp_socket() as sock:
        sock.sendto(b"", sock.getsockname())
        sock.recv(1)


@pytest.fixture(params=["recvmmsg", "recvmsg"])
def receiver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type:
    if request.param == "recvmmsg":
        return Recvmmsg
    monkeypatch.setattr(batch.ctypes, "CDLL", lambda *_, **__: object())
    return Recvmsg


def udp_socket(host: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.bind((host, 0))
    return sock


def bound_to(bound: Sockets, host: str, port: int) -> BoundSocket:
    (found,) = [one for one in bound if one.local == Address(host, port)]
    return found


@pytest.mark.parametrize(
    ("listen", "ours", "theirs"),
    [
        ("0.0.0.0", "127.0.0.9", "127.0.0.1"),
        ("127.0.0.9", "127.0.0.9", "127.0.0.1"),
        ("::", "::1", "::1"),
        ("::", "2001:db8::9", "2001:db8::1"),
    ],
)
@pytest.mark.parametrize("port", [500, 4500])
def test_the_address_that_was_asked_answers(
    receiver: type, listen: str, ours: str, theirs: str, port: int
) -> None:
    for address in ("2001:db8::1", "2001:db8::9"):
        add_ipv6(f"{address}/128", "lo")
    with closing(Sockets([listen])) as server, udp_socket(theirs) as client:
        client.sendto(b"question", (ours, port))
        local = bound_to(server, listen, port)
        assert isinstance(local._receive.__self__, receiver)
        ((data, path),) = first(local)
        assert data == b"question"
        assert path == Path(Address(ours, port), Address(theirs, client.getsockname()[1]))
        server.send([b"answer"], path)
        answer, source = client.recvfrom(100)
        assert (answer, source[:2]) == (b"answer", (ours, port))
        assert not server.drops


def test_link_local_addresses_keep_their_zone(receiver: type) -> None:
    run("ip link add name left type veth peer name right")
    for name in ("left", "right"):
        run(f"ip link set {name} addrgenmode none")
        run(f"ip link set {name} up")
    add_ipv6("fe80::b/64", "right")
    zone = socket.if_nametoindex("right")
    with closing(Sockets(["::"])) as server, udp_socket("::") as client:
        client.sendto(b"question", ("fe80::b", 500, 0, zone))
        ((_, path),) = first(bound_to(server, "::", 500))
        assert path.local == Address(f"fe80::b%{zone}", 500)
        server.send([b"answer"], path)
        assert client.recv(100) == b"answer"


@pytest.mark.parametrize(("listen", "host"), [("0.0.0.0", "127.0.0.1"), ("::", "::1")])
def test_protocol_50(receiver: type, listen: str, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        closing(Sockets([listen])) as server,
        socket.socket(family, socket.SOCK_RAW, 50) as client,
    ):
        client.settimeout(5)
        client.bind((host, 0))
        client.sendto(b"an ESP packet", (host, 0))
        assert client.recv(100).endswith(b"an ESP packet"), "loopback shows it to both"
        ((data, path),) = first(bound_to(server, listen, 0))
        assert (data, path) == (b"an ESP packet", Path(Address(host, 0), Address(host, 0)))
        ike = Path(Address(host, 500), Address(host, 500))
        server.send_esp([b"one", b"other"], ike)
        assert client.recv(100).endswith(b"one")
        assert client.recv(100).endswith(b"other")
        assert not server.drops


def test_protocol_50_behind_ip_options() -> None:
    with (
        closing(BoundSocket("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, 50) as client,
    ):
        client.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01\x01\x01\x00")
        client.sendto(b"an ESP packet", ("127.0.0.1", 0))
        assert [data for data, _ in first(server)] == [b"an ESP packet"]


def test_the_kernel_is_given_fresh_headers_each_time() -> None:
    seen = []

    def scribble(_: int, headers: int, count: int, *__: object) -> int:
        size = ctypes.sizeof(batch._MMsgHdr) * count
        seen.append(ctypes.string_at(headers, size))
        ctypes.memset(headers, 0x55, size)
        return 0

    with udp_socket() as sock:
        receiver = Recvmmsg(sock, 500, scribble)
        assert (receiver.receive(), receiver.receive()) == ((), ())
    assert seen[0] == seen[1]


def test_batches(receiver: type) -> None:
    with closing(BoundSocket("127.0.0.1", 4500)) as server, udp_socket() as client:
        for n in range(BATCH * 2 + 5):
            client.sendto(bytes([n]) * (n + 1), ("127.0.0.1", 4500))
        delivered()
        taken = list(batches(server.receive))
        assert [len(one) for one in taken] == [BATCH, BATCH, 5]
        assert [data for one in taken for data, _ in one] == [
            bytes([n]) * (n + 1) for n in range(BATCH * 2 + 5)
        ]
        assert server.receive() in ((), [])


def test_other_sources_have_their_turn() -> None:
    assert len(list(batches(lambda: [0] * BATCH))) == BATCHES
    assert list(batches(list)) == []
    assert list(batches(lambda: [1])) == [[1]]


def test_paths_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_KNOWN_PATHS", 2)
    with closing(BoundSocket("127.0.0.1", 4500)) as server:
        paths = set()
        for _ in range(5):
            with udp_socket() as client:
                client.sendto(b"x", ("127.0.0.1", 4500))
                paths.add(first(server)[0][1])
                assert len(server._receive.__self__._paths) <= 2
        assert len(paths) == 5


def test_the_longest_datagram_comes_whole_out_of_ip_fragments(receiver: type) -> None:
    """A client with many certificates that does not fragment IKE leaves it to IP."""
    run("ip link set lo mtu 1500")
    longest = random.Random(1).randbytes(65507)
    with closing(BoundSocket("127.0.0.1", 500)) as server, udp_socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        client.sendto(longest, ("127.0.0.1", 500))
        client.sendto(b"next", ("127.0.0.1", 500))
        delivered()
        assert [data for data, _ in server.receive()] == [longest, b"next"]


LENGTHS = [
    [100],
    [100] * 5 + [40],
    [100] * 5 + [140, 140, 20, 30, 30],
    [1460] * 130,
    [50, 100, 50, 100],
    [9000] * 20,
]


@pytest.mark.parametrize("lengths", LENGTHS)
def test_runs_cross_in_order(lengths: list[int]) -> None:
    packets = [bytes([n % 256]) * length for n, length in enumerate(lengths)]
    with closing(BoundSocket("127.0.0.1", 4500)) as server, udp_socket() as client:
        client.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)
        path = Path(server.local, Address(*client.getsockname()))
        server.send(packets, path)
        assert [client.recv(10000) for _ in packets] == packets
        assert not server.drops


def test_runs_are_as_long_as_the_kernel_allows() -> None:
    for lengths in LENGTHS:
        packets = [bytes(length) for length in lengths]
        runs = list(sockets._runs(packets))
        assert [packet for run in runs for packet in run] == packets
        assert all(len(run) <= 64 and sum(map(len, run)) <= 65000 for run in runs)
    assert [len(run) for run in sockets._runs([bytes(1460)] * 130)] == [44, 44, 42]
    assert [len(run) for run in sockets._runs([bytes(n) for n in (9, 9, 5, 5, 7, 70000)])] == [
        3,
        1,
        1,
        1,
    ]


def test_without_segmentation_packets_go_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_UDP_SEGMENT", 9999)  # the kernel answers EINVAL
    with closing(BoundSocket("127.0.0.1", 4500)) as server, udp_socket() as client:
        server.send([b"one", b"two", b"3"], Path(server.local, Address(*client.getsockname())))
        assert [client.recv(10) for _ in range(3)] == [b"one", b"two", b"3"]
        assert not server.drops


def test_more_than_the_path_takes_is_fragmented() -> None:
    run("ip link set lo mtu 1280")
    with closing(BoundSocket("127.0.0.1", 4500)) as server, udp_socket() as client:
        packets = [bytes([n]) * 1460 for n in range(3)]
        server.send(packets, Path(server.local, Address(*client.getsockname())))
        assert [client.recv(2000) for _ in packets] == packets
        assert not server.drops


def test_what_cannot_be_sent_is_counted() -> None:
    with closing(Sockets(["127.0.0.1"])) as server:
        nowhere = Path(Address("127.0.0.1", 500), Address("192.0.2.1", 500))
        server.send([b"a", b"b"], nowhere)
        assert server.drops == {"EINVAL": 2} or server.drops == {"ENETUNREACH": 2}
        server.send([b"a"], Path(Address("127.0.0.2", 500), Address("127.0.0.1", 500)))


def test_clear_text_l2tp_meets_a_closed_port() -> None:
    with closing(Sockets(["0.0.0.0", "::"])), udp_socket() as client:
        client.connect(("127.0.0.1", 1701))
        client.send(b"SCCRQ")
        with pytest.raises(ConnectionRefusedError):
            client.recv(100)


def test_a_port_in_use_says_by_whom_and_what_to_do() -> None:
    with closing(BoundSocket("0.0.0.0", 4500)):
        assert who_holds_udp_port(4500) is not None
        assert who_holds_udp_port(4501) is None
        with pytest.raises(ListenError) as refusal:
            Sockets(["127.0.0.1"])
        text = str(refusal.value)
        assert text.startswith("UDP 127.0.0.1:4500 is in use by py")
        assert "strongSwan" in text
        assert "libreswan" in text
        assert "xl2tpd" in text
    Sockets(["127.0.0.1"]).close()  # the first attempt has left nothing open


def test_an_address_of_another_machine() -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.1:500: .*no such address; see server"):
        Sockets(["192.0.2.1"])


def test_large_buffers() -> None:
    with closing(BoundSocket("127.0.0.1", 4500)) as server:
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            assert server._sock.getsockopt(socket.SOL_SOCKET, option) >= 8 << 20


def test_ordinary_buffers_without_the_privilege(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket.setsockopt

    class Unprivileged(socket.socket):
        def setsockopt(self, level: int, option: int, value: int) -> None:  # type: ignore[override]
            if option in (32, 33):
                raise PermissionError(errno.EPERM, "not for you")
            real(self, level, option, value)

    monkeypatch.setattr(sockets.socket, "socket", Unprivileged)
    with closing(BoundSocket("127.0.0.1", 4500)) as server:
        assert server._sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 0
