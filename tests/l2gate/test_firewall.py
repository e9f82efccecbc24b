"""The table of nftables, held by a kernel: who reaches whom, in network namespaces.

Two clients of sales and one of hr stand in for the sessions: each is a namespace behind a device
of the server, as the headquarters are behind another.
"""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path

import pytest

from aaa import Allowed
from l2gate.firewall import REMOVE, Firewall, FirewallError, Zone, run_nft_program
from tests.support.namespaces import Namespace, new_namespace, run
from tests.support.prerequisites import need_program

CLIENTS = {"sales1": "172.16.1.2", "sales2": "172.16.1.3", "hr1": "172.16.2.2"}
PLACES = {**CLIENTS, "hq": "192.168.1.80"}
DEVICES = tuple(CLIENTS)
BRANCH = "10.9.0.1"
"""A host behind the client sales1."""

WEB = Allowed(ip_network("192.168.1.80/32"), "tcp", ((80, 80), (8000, 8100)))
PING = Allowed(ip_network("192.168.1.0/24"), "icmp")
HR = Allowed(ip_network("172.16.2.0/24"))


@pytest.fixture
def places() -> Iterator[dict[str, Namespace]]:
    """The test itself runs as the server."""
    need_program("nft")
    with ExitStack() as stack:
        server = stack.enter_context(new_namespace())
        stack.enter_context(server)
        run("sysctl -qw net.ipv4.ip_forward=1")
        found = {}
        for name, address in PLACES.items():
            found[name] = place = stack.enter_context(new_namespace())
            run(f"ip link add name {name} type veth peer name up0 netns {place.path}")
            run(f"ip link set {name} up")
            run(f"ip address add 192.0.2.1/32 dev {name}")
            run(f"ip route add {address} dev {name}")
            with place:
                run(f"ip address add {address}/32 dev up0")
                run("ip link set up0 up")
                run("ip route add 192.0.2.1 dev up0")
                run("ip route add default via 192.0.2.1")
        run(f"ip route add {BRANCH} dev sales1")
        with found["sales1"]:
            run(f"ip address add {BRANCH}/32 dev lo")
        yield found


Step = Callable[[Firewall], Awaitable[None]]


def with_firewall(zones: list[Zone], step: Step) -> None:
    async def whole() -> None:
        async with Firewall() as firewall:
            await firewall.bring_up(zones, DEVICES)
            for name, address in CLIENTS.items():
                firewall.add(name[:-1], ip_network(address))
            await step(firewall)

    asyncio.run(whole())


def test_a_replacement_that_fails_changes_nothing(places: dict[str, Namespace]) -> None:
    """Who comes meanwhile is let in by the old zones."""
    scripts: list[str] = []

    async def run_nft(script: str) -> None:
        scripts.append(script)
        if "from_lab" in script:
            firewall.add("sales", ip_network("172.16.1.77"))
            raise FirewallError("no such thing")
        await run_nft_program(script)

    async def whole() -> None:
        async with firewall:
            await firewall.bring_up(zones, DEVICES)
            await firewall.replace(zones, DEVICES)
            assert len(scripts) == 1, "the same is no change"
            with pytest.raises(FirewallError):
                await firewall.replace([Zone("lab")], [*DEVICES, "lns-lab"])
            await until("172.16.1.77")
            table = run("nft list ruleset")
            assert "from_sales" in table
            assert "lns-lab" not in table
            await firewall.replace(zones, [*DEVICES, "lns-hr"])
            await until("lns-hr")
            firewall.forget_devices(["lns-hr"])
            await until("lns-hr", there=False)
            assert "172.16.1.77" in run("nft list ruleset")

    firewall, zones = Firewall(run_nft), [Zone("sales"), Zone("hr")]
    asyncio.run(whole())


def test_a_replacement_that_comes_too_late_leaves_nothing(places: dict[str, Namespace]) -> None:
    late: list[asyncio.Task[None]] = []

    async def run_nft(script: str) -> None:
        if script == REMOVE:
            late.append(asyncio.create_task(firewall.replace([Zone("lab")], DEVICES)))
            await asyncio.sleep(0)
        await run_nft_program(script)

    async def whole() -> None:
        async with firewall:
            await firewall.bring_up([Zone("sales")], DEVICES)
        await asyncio.gather(*late)

    firewall = Firewall(run_nft)
    asyncio.run(whole())
    assert late
    assert run("nft list ruleset") == ""


async def until(text: str, there: bool = True) -> None:
    """Wait until the table has a text, or has it no more."""
    for _ in range(200):
        if (text in run("nft list ruleset")) is there:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(run("nft list ruleset"))


def pings(place: Namespace, to: str, source: str = "") -> bool:
    command = ["ping", "-q", "-n", "-c", "1", "-W", "1", *(("-I", source) if source else ()), to]
    with place:
        return subprocess.run(command, capture_output=True).returncode == 0


def refused(place: Namespace, port: int) -> bool:
    """Whether a TCP connection to the headquarters reaches it: there, nobody listens."""
    script = (
        "import socket, sys\n"
        "try: socket.create_connection(('192.168.1.80', int(sys.argv[1])), 1)\n"
        "except ConnectionRefusedError: sys.exit(0)\n"
        "except OSError: sys.exit(1)\n"
    )
    with place:
        return subprocess.run(["python3", "-c", script, str(port)]).returncode == 0


def test_departments_are_apart(places: dict[str, Namespace]) -> None:
    async def step(firewall: Firewall) -> None:
        await until("172.16.2.2")
        assert pings(places["sales1"], PLACES["hq"])
        assert not pings(places["sales1"], PLACES["hr1"])
        assert not pings(places["sales1"], PLACES["sales2"])
        assert pings(places["hq"], PLACES["sales1"]), "its answers come back"
        assert pings(places["sales1"], "192.0.2.1"), "this machine is none of its business"
        await firewall.replace([Zone("sales", client_to_client=True), Zone("hr")], DEVICES)
        await until("ip daddr @hosts_sales")
        assert pings(places["sales1"], PLACES["sales2"])
        assert not pings(places["sales1"], PLACES["hr1"])

    with_firewall([Zone("sales"), Zone("hr")], step)
    assert run("nft list ruleset") == ""


def test_only_what_is_allowed_is_reached(places: dict[str, Namespace]) -> None:
    async def step(firewall: Firewall) -> None:
        await until("172.16.2.2")
        sales = places["sales1"]
        assert pings(sales, PLACES["hq"])
        assert [refused(sales, port) for port in (80, 8050, 443)] == [True, True, False]
        assert not pings(sales, PLACES["hr1"])
        assert pings(places["hr1"], PLACES["hq"])
        await firewall.replace([Zone("sales", (WEB, HR)), Zone("hr")], DEVICES)
        await until("172.16.2.0/24 accept")
        assert pings(sales, PLACES["hr1"]), "an explicit permission counts between departments"
        assert not pings(sales, PLACES["hq"])

    with_firewall([Zone("sales", (WEB, PING)), Zone("hr")], step)


def test_who_has_no_session_has_no_way(places: dict[str, Namespace]) -> None:
    async def step(firewall: Firewall) -> None:
        await until("172.16.2.2")
        assert not pings(places["sales1"], PLACES["hq"], BRANCH)
        firewall.add("sales", ip_network(f"{BRANCH}/32"))
        firewall.add("sales", ip_network("10.8.0.0/16"))
        await until("10.8.0.0/16")
        assert pings(places["sales1"], PLACES["hq"], BRANCH)
        firewall.remove("sales", ip_network(f"{BRANCH}/32"))
        firewall.remove("sales", ip_network("10.8.0.0/16"))
        firewall.remove("sales", ip_network("10.7.0.0/16"))
        await until("10.8.0.0/16", there=False)
        assert not pings(places["sales1"], PLACES["hq"], BRANCH)

    with_firewall([Zone("sales"), Zone("hr")], step)


def test_other_tables_are_left_alone(places: dict[str, Namespace]) -> None:
    run("nft add table inet other")
    before = run("nft list ruleset")

    async def step(_: Firewall) -> None:
        await until("172.16.2.2")

    with_firewall([Zone("sales"), Zone("hr")], step)
    assert run("nft list ruleset") == before


def test_a_table_of_a_killed_server_is_replaced(places: dict[str, Namespace]) -> None:
    run("nft add table inet l2gate")
    run("nft add chain inet l2gate forward { type filter hook forward priority 0; policy drop; }")

    async def step(_: Firewall) -> None:
        await until("172.16.2.2")
        assert pings(places["sales1"], PLACES["hq"])

    with_firewall([Zone("sales"), Zone("hr")], step)


def test_after_a_failure_the_table_is_made_anew() -> None:
    scripts: list[str] = []

    async def fails_once(script: str) -> None:
        scripts.append(script)
        if len(scripts) == 2:
            raise FirewallError("no")

    async def whole() -> None:
        async with Firewall(fails_once) as firewall:
            await firewall.bring_up([Zone("sales")], DEVICES)
            firewall.add("sales", ip_network("172.16.1.2"))
            firewall.add("nobody", ip_network("172.16.9.2"))
            for _ in range(10):
                await asyncio.sleep(0)
            assert scripts[1] == "add element inet l2gate hosts_sales { 172.16.1.2 }\n"
            assert scripts[2] == firewall.ruleset()
            assert "172.16.1.2" in scripts[2]

    asyncio.run(whole())


def test_a_failure_at_the_start_is_told() -> None:
    async def fails(script: str) -> None:
        raise FirewallError("Operation not permitted")

    async def whole() -> None:
        async with Firewall(fails) as firewall:
            with pytest.raises(FirewallError, match="not permitted"):
                await firewall.bring_up([Zone("sales")], DEVICES)

    asyncio.run(whole())


def test_who_gives_up_waits_for_nft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nft makes after the table was removed would stay for ever."""
    program, begun, done = tmp_path / "nft", tmp_path / "begun", tmp_path / "done"
    program.write_text(f"#!/bin/sh\ntouch {begun}\nsleep 0.3\ntouch {done}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    async def whole() -> bool:
        task = asyncio.create_task(run_nft_program(""))
        while not begun.exists():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return done.exists()

    assert asyncio.run(whole())
