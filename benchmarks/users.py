"""What 20000 users cost: reading, reloading and changing them, beside a plain load by PyYAML."""

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Network
from os import urandom
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, time

import yaml

from l2gate.configuration import Configuration, load
from l2gate.configuration.editing import add_user, set_disabled, set_password
from l2gate.gateway import Gateway
from l2gate.reloading import Reloader

USERS = 20_000
TIMES = 3

HEAD = """\
ipsec: {psk: ZZp4u9mVbC7kTqRx3sWd8yNe}
departments:
  sales: {domains: [sales.example.com], pool: 10.0.0.0/8, gateway: 10.0.0.1}
users:
"""


def main() -> None:
    """Print a table."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "l2gate.yaml"
        path.write_text(HEAD + "".join(map(line, range(USERS))))
        path.chmod(0o600)
        plain = best(lambda: yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader))
        print(f"{USERS} users, {path.stat().st_size / 1e6:.1f} MB; PyYAML's own load is 1.00")
        print(f"{'PyYAML CSafeLoader':<28}{plain * 1000:8.0f} ms  1.00")
        for name, work in (
            ("check", lambda: load(path)),
            ("reload", reloader(path)),
            ("add a user", lambda: add_user(path, {"name": fresh(), "password": "secret"})),
            ("change a password", lambda: set_password(path, "u9@sales.example.com", fresh())),
            ("disable, enable", lambda: disable_and_enable(path)),
        ):
            taken = best(work)
            print(f"{name:<28}{taken * 1000:8.0f} ms  {taken / plain:.2f}")


def line(number: int) -> str:
    """Return a user with an NT hash and a fixed address, as an admin would write it."""
    address = f"10.{number // 60000 + 1}.{number // 250 % 240}.{number % 250 + 2}"
    return (
        f"  - {{name: u{number}@sales.example.com, nt_hash: {number:032x}, address: {address}}}\n"
    )


def best(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of some times."""
    return min(timed(work) for _ in range(TIMES))


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that work takes."""
    began = perf_counter()
    work()
    return perf_counter() - began


def fresh() -> str:
    """Return a name or password that there is not yet."""
    return f"x{urandom(8).hex()}@sales.example.com"


def disable_and_enable(path: Path) -> None:
    """Change a user twice."""
    set_disabled(path, "u10@sales.example.com", True)
    set_disabled(path, "u10@sales.example.com", False)


def reloader(path: Path) -> Callable[[], object]:
    """Return what reads the file again into a gateway that has its users already."""

    async def own_networks() -> list[IPv4Network]:
        return []

    async def prepare(_: Configuration) -> None:
        pass

    before = load(path).configuration
    again = Reloader(
        path,
        before,
        Gateway(before, urandom, time),
        clock=lambda: 0.0,
        own_networks=own_networks,
        prepare=prepare,
        flush=lambda: None,
        tell=lambda _: None,
    )
    return lambda: asyncio.run(again.reload())


if __name__ == "__main__":
    main()
