"""From the files to a `Configuration`, or to everything that is wrong with them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from aaa import Directory, User
from l2gate.configuration.departments import AddressPlan, Entry, read_departments, read_users
from l2gate.configuration.files import read_yaml, without_collector
from l2gate.configuration.ipv6 import AnyNetwork
from l2gate.configuration.model import AuthenticationMethod, Configuration, PppSettings
from l2gate.configuration.policy import check_firewall
from l2gate.configuration.problems import ConfigurationError, Problem, Problems
from l2gate.configuration.radius import asks_radius, check_eap, check_sources, read_radius
from l2gate.configuration.section import Section
from l2gate.configuration.sections import read_ipsec, read_l2tp, read_lockout, read_ppp, read_server
from l2gate.configuration.state import read_state
from ppp.router import MINIMUM_MTU

if TYPE_CHECKING:
    from ipsec.credentials import Calendar

FURTHER_FILES = "conf.d"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used, and what is unwise about it."""

    configuration: Configuration
    warnings: tuple[Problem, ...]


def today() -> datetime:
    """Return the date and time, of which certificates are a matter."""
    return datetime.now(UTC)


def load(
    path: Path,
    own_networks: Sequence[AnyNetwork] = (),
    instead: Mapping[Path, str] = MappingProxyType({}),
    calendar: "Calendar" = today,
) -> Loaded:
    """Read the configuration file `path` and the files of conf.d beside it, in order of name.

    `own_networks` are the networks that this server is in without us; no pool may overlap them.
    `instead` has the texts of files that are to be read as if they had these. `calendar` says
    until when certificates are good, now and while the server runs.
    Raises ConfigurationError with every mistake of all files; where one is not YAML at all,
    with what keeps the files from being read.
    """
    with without_collector():
        return _load(path, own_networks, instead, calendar)


def _load(
    path: Path,
    own_networks: Sequence[AnyNetwork],
    instead: Mapping[Path, str],
    calendar: "Calendar",
) -> Loaded:
    problems = Problems()
    files = [read_yaml(file, problems, instead.get(file)) for file in files_of(path)]
    if problems.errors:
        raise ConfigurationError(problems.errors)
    server = read_server(_only(files, "server"))
    ipsec = read_ipsec(_only(files, "ipsec"), server.name, calendar)
    l2tp = read_l2tp(_only(files, "l2tp"))
    ppp_section = _only(files, "ppp")
    ppp = read_ppp(ppp_section)
    lockout = read_lockout(_only(files, "lockout"))
    radius_section = _only(files, "radius")
    is_radius = any("radius" in file for file in files)
    radius = read_radius(radius_section, server.name) if is_radius else None
    is_kept = any("state" in file for file in files)
    state = read_state(_only(files, "state"), server.name) if is_kept else None
    entries = read_departments(files, server.tun)
    check_sources(radius_section, radius, entries)
    for entry in entries:
        check_firewall(entry.section, server.firewall)
    plan = AddressPlan(entries)
    plan.check(own_networks)
    users = read_users(files, entries, plan, own_networks, ppp.proofs)
    for file in files:
        file.finish()
    if ipsec is None or problems.errors:
        raise ConfigurationError(_in_order(problems.errors, files))
    _warn_of_logins(files[0], users, ppp, any(map(asks_radius, entries)))
    check_eap(radius_section, ppp_section, radius, ppp, entries, bool(users))
    _warn_of_small_links(entries, ppp)
    departments = {entry.name: entry.department for entry in entries if entry.department}
    directory = Directory(
        departments,
        users,
        tuple(network for network in own_networks if isinstance(network, IPv4Network)),
    )
    configuration = Configuration(server, ipsec, l2tp, ppp, directory, lockout, radius, state)
    return Loaded(configuration, tuple(_in_order(problems.warnings, files)))


def files_of(path: Path) -> list[Path]:
    """Return the files of the configuration `path`, in the order in which they are read.

    A directory that may not be looked into stands for its files: it cannot be read either.
    """
    directory = path.parent / FURTHER_FILES
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return [path]
    except OSError:
        return [path, directory]
    further = sorted(directory / name for name in names if not name.startswith("."))
    return [path, *(file for file in further if file.suffix in (".yaml", ".yml"))]


def _only(files: Sequence[Section], key: str) -> Section:
    """Return the section `key` out of the one file that has it."""
    sections = {file.file: file.section(key) for file in files}
    having = [file for file in files if key in file] or files[:1]
    for file in having[1:]:
        first = having[0].place(key)
        file.error(key, f"the section is in {first} already: keep it in one file")
    return sections[having[0].file]


def _warn_of_logins(
    file: Section, users: Mapping[str, User], ppp: PppSettings, by_radius: bool
) -> None:
    if not users and not by_radius:
        file.warn(None, "there are no users: nobody can log in")
    expired = [user.name for user in users.values() if user.must_change_password]
    changing = {AuthenticationMethod.MS_CHAPV2, AuthenticationMethod.EAP}
    if expired and not changing.intersection(ppp.authentication):
        file.warn(
            None,
            f"users who must change their password, such as {expired[0]!r}, cannot do so: add "
            "ms-chapv2 to ppp.authentication",
        )
    hashed = [user.name for user in users.values() if user.nt_hash is not None]
    if hashed and AuthenticationMethod.CHAP_MD5 in ppp.authentication:
        file.warn(
            None,
            f"users with an nt_hash, such as {hashed[0]!r}, cannot log in by chap-md5, which "
            "needs the password itself",
        )


def _warn_of_small_links(entries: Iterable[Entry], ppp: PppSettings) -> None:
    for entry in entries:
        mtu = entry.department.policy.mtu if entry.department is not None else None
        if mtu is not None and mtu > ppp.mtu:
            entry.section.warn("mtu", f"has no effect: ppp.mtu is {ppp.mtu}")
        if "pool6" not in entry.section:
            continue
        if min(ppp.mru, ppp.mtu) < MINIMUM_MTU:
            entry.section.warn(
                "pool6",
                f"clients get no IPv6, which needs ppp.mru and ppp.mtu of {MINIMUM_MTU} at least",
            )
        elif mtu is not None and mtu < MINIMUM_MTU:
            entry.section.warn("mtu", f"clients get no IPv6, which needs {MINIMUM_MTU} at least")


def _in_order(problems: Iterable[Problem], files: Sequence[Section]) -> list[Problem]:
    turns = {file.file: turn for turn, file in enumerate(files)}
    return sorted(problems, key=lambda p: (turns.get(p.place.file, len(turns)), p.place.line))
