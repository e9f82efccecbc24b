"""The sections departments and users, and the address plan that they make together."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Network

from aaa import DEFAULT_DEPARTMENT, AddressRange, Department, Pool, Source, User
from aaa.credentials import why_impossible
from aaa.directory import MAX_USER_ROUTES, suffix_of
from l2gate.configuration import ipv6, values
from l2gate.configuration.behind import NetworksBehind
from l2gate.configuration.ipv6 import AnyNetwork, PrefixPlan
from l2gate.configuration.policy import read_policy
from l2gate.configuration.problems import Place
from l2gate.configuration.section import Expected, Section
from ppp import Assignment, dhcp

CREDENTIALS = ("password", "nt_hash", "argon2")
"""The keys of which a user has one."""

SHUT_OUT = "can never log in"
"""How the warning of a user begins whom no method of authentication can serve."""

MAX_DNS = 2
MAX_WINS = 2
"""RFC 1877 has a primary and a secondary server of each kind; as many of IPv6 may be beside."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A department and where it stands. Without a usable pool and gateway it has no value."""

    section: Section
    name: str
    domains: tuple[str, ...]
    department: Department | None


def read_departments(files: Sequence[Section], interface: str) -> list[Entry]:
    """Read `departments` of all files; `interface` is of those without one of their own."""
    entries: dict[str, Entry] = {}
    owners: dict[str, str] = {}
    for file in files:
        for name, section in file.sections("departments"):
            if name in entries:
                first = entries[name].section.place()
                section.error(None, f"the department is in {first} already: give it once")
                continue
            entry = entries[name] = _read_department(name, section, interface)
            for domain in entry.domains:
                owner = owners.setdefault(domain, name)
                if owner != name:
                    section.error("domains", f"{domain!r} belongs to department {owner!r} already")
    if not entries:
        files[0].problems.error(
            files[0].place("departments"),
            "departments is missing: add at least the department 'default'",
        )
    return list(entries.values())


def _read_department(name: str, section: Section, interface: str) -> Entry:
    try:
        values.department_name(name)
    except Expected as error:
        section.error(None, f"expected {error}, found {name!r}")
    domains = section.take_all("domains", values.domain)
    parts = section.require_all("pool", values.pool_part, "172.16.1.2-172.16.1.100")
    gateway = section.require("gateway", values.unicast, "172.16.1.1")
    dns = section.take_all("dns", values.any_unicast)
    wins = section.take_all("wins", values.unicast, at_most=MAX_WINS)
    limit = section.take("max_sessions_per_user", values.number(1, 65535), None)
    routes = section.take_all("routes", values.any_network)
    search_domains = section.take_all("search_domains", values.domain_name)
    pool6 = section.take("pool6", ipv6.pool, None)
    authenticate = section.take_all("authenticate", values.one_of(Source)) or (Source.LOCAL,)
    interface = section.take("interface", values.interface, interface)
    policy = read_policy(section, dns)
    section.finish()
    if section.is_empty("authenticate"):
        section.error("authenticate", "is empty: write for example 'authenticate: [local]'")
    if len(set(authenticate)) < len(authenticate):
        section.error("authenticate", "the same is given twice: remove one of them")
    told = ipv6.tell_apart(section, dns, routes, pool6, search_domains)
    for servers in (told.dns, told.dns6):
        if len(servers) > MAX_DNS:
            section.error("dns", f"expected at most {MAX_DNS} values, found {len(servers)}")
    if name != DEFAULT_DEPARTMENT and "domains" not in section:
        section.error(
            None,
            "domains is missing, so that nobody belongs to the department: "
            f"add for example 'domains: [{name}.example.com]'",
        )
    if gateway is None or not parts:
        return Entry(section, name, domains, None)
    pool = Pool(tuple(sorted(_without(gateway, parts), key=lambda part: part.first)))
    if not pool.ranges:
        section.error("pool", "there is no address left beside the gateway: enlarge it")
    all_told = Assignment(gateway, gateway, told.dns, wins, told.routes, search_domains)
    if not dhcp.fits(all_told):
        section.error(
            "routes" if routes else "search_domains",
            "routes and search_domains together are more than a DHCP message holds: "
            "join networks, or leave some out",
        )
    department = Department(
        name,
        domains,
        pool,
        gateway,
        told.dns,
        wins,
        limit,
        told.routes,
        search_domains,
        pool6,
        told.dns6,
        told.routes6,
        authenticate,
        policy,
        interface,
    )
    return Entry(section, name, domains, department)


def _without(gateway: IPv4Address, parts: Iterable[values.PoolPart]) -> list[AddressRange]:
    """Return the ranges of a pool; a network leaves room for its gateway, a range does not."""
    ranges: list[AddressRange] = []
    for part, network in parts:
        if network is None or gateway not in part:
            ranges.append(part)
            continue
        if part.first < gateway:
            ranges.append(AddressRange(part.first, gateway - 1))
        if gateway < part.last:
            ranges.append(AddressRange(gateway + 1, part.last))
    return ranges


class AddressPlan:
    """Which address belongs to which department's pool."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._departments = [
            (entry, entry.department) for entry in entries if entry.department is not None
        ]
        self._parts = sorted(
            (
                (part, entry)
                for entry, department in self._departments
                for part in department.pool.ranges
            ),
            key=lambda placed: placed[0].first,
        )
        self._starts = [part.first for part, _ in self._parts]
        self.prefixes = PrefixPlan(
            (entry.section, department) for entry, department in self._departments
        )

    def check(self, own_networks: Sequence[AnyNetwork]) -> None:
        """Note pools that overlap each other, a gateway or a network of this server."""
        self.prefixes.check(own_networks)
        for (part, entry), (next_part, next_entry) in zip(
            self._parts, self._parts[1:], strict=False
        ):
            if next_part.first <= part.last:
                other = "itself" if entry is next_entry else f"the pool of {entry.name!r} ({part})"
                next_entry.section.error("pool", f"{next_part} overlaps {other}")
        for entry, department in self._departments:
            owner = self.pool_of(department.gateway)
            if owner is entry:
                entry.section.error(
                    "pool", f"contains the gateway {department.gateway}: leave it out of the pool"
                )
            elif owner is not None:
                entry.section.error(
                    "gateway",
                    f"{department.gateway} is in the pool of {owner.name!r}: choose another",
                )
        for part, entry in self._parts:
            for network in own_networks:
                if isinstance(network, IPv6Network):
                    continue
                if network[-1] < part.first or part.last < network[0]:
                    continue
                proxied = entry.department is not None and entry.department.policy.proxy_arp
                if not proxied:
                    why = "choose another, or add 'proxy_arp: true'"
                elif network[0] < part.first and part.last < network[-1]:
                    continue
                else:
                    why = (
                        "with proxy_arp it must be within that, without its first and last address"
                    )
                entry.section.error(
                    "pool", f"{part} overlaps {network}, a network of this server: {why}"
                )

    def pool_of(self, address: IPv4Address) -> Entry | None:
        """Return the department whose pool has an address, or None."""
        place = bisect_right(self._starts, address) - 1
        if place < 0 or address > self._parts[place][0].last:
            return None
        return self._parts[place][1]

    def why_not_fixed(
        self, address: IPv4Address, department: str, own_networks: Sequence[AnyNetwork]
    ) -> str | None:
        """Say why a user of a department cannot have a fixed address, or None."""
        owner = self.pool_of(address)
        if owner is not None and owner.name != department:
            return f"is in the pool of department {owner.name!r}, and the user is in {department!r}"
        if owner is not None:
            return None
        for _, other in self._departments:
            if other.gateway == address:
                return f"is the gateway of department {other.name!r}"
        for network in own_networks:
            if address in network:
                return f"is in {network}, a network of this server"
        return None


def read_users(
    files: Sequence[Section],
    entries: Sequence[Entry],
    plan: AddressPlan,
    own_networks: Sequence[AnyNetwork],
    methods: Sequence[str],
) -> dict[str, User]:
    """Read `users` of all files; `methods` are the names of those by which they may log in."""
    reader = _UserReader(entries, plan, own_networks, methods)
    users = (reader.read(section) for file in files for section in file.items("users"))
    return {user.name: user for user in users if user is not None}


class _UserReader:
    """Reads one user after the other, and knows those before."""

    def __init__(
        self,
        entries: Sequence[Entry],
        plan: AddressPlan,
        own_networks: Sequence[AnyNetwork],
        methods: Sequence[str],
    ) -> None:
        self._methods = methods
        self._places: dict[str, Place] = {}
        self._addresses: dict[IPv4Address | IPv6Network, str] = {}
        self._plan = plan
        self._behind = NetworksBehind(
            (entry.department for entry in entries if entry.department is not None), own_networks
        )
        self._own_networks = own_networks
        self._departments: dict[str | None, str] = {
            domain: entry.name for entry in reversed(entries) for domain in entry.domains
        }
        if any(entry.name == DEFAULT_DEPARTMENT for entry in entries):
            self._departments[None] = DEFAULT_DEPARTMENT

    def read(self, section: Section) -> User | None:
        name = section.require("name", values.user_name, "bob")
        section.path = "users" if name is None else f"users[{name}]"
        password = section.take("password", values.password, None)
        nt_hash = section.take("nt_hash", values.nt_hash, None)
        argon2 = section.take("argon2", values.argon2, None)
        address = section.take("address", values.unicast, None)
        disabled = section.take("disabled", values.switch, False)
        expires = section.take("expires", values.day, None)
        totp = section.take("totp", values.totp, None)
        prefix6 = section.take("prefix6", ipv6.prefix, None)
        must_change_password = section.take("must_change_password", values.switch, False)
        routes = section.take_all("routes", values.network, at_most=MAX_USER_ROUTES)
        section.finish()
        given = [kind for kind in CREDENTIALS if kind in section]
        for kind in given[1:]:
            section.error(kind, f"is given beside {given[0]}: remove one of them")
        if must_change_password:
            for key in ("argon2", "totp"):
                if key in section:
                    section.error(key, "cannot be beside must_change_password: remove one of them")
        if not given:
            section.error(None, "has no password: add 'password' or 'nt_hash'")
        if name is None:
            return None
        if name in self._places:
            section.error(
                "name", f"the user is in {self._places[name]} already: remove one of them"
            )
        self._places[name] = section.place()
        suffix = suffix_of(name)
        department = self._departments.get(suffix)
        if department is None:
            self._note_no_department(section, suffix)
        else:
            self._check_fixed(section, name, address, prefix6, department)
        self._behind.check(section, name, routes, address)
        user = User(
            name,
            password,
            nt_hash,
            address,
            disabled,
            argon2,
            totp,
            expires,
            prefix6,
            must_change_password,
            routes,
        )
        self._warn_if_shut_out(section, user)
        return user

    def _warn_if_shut_out(self, section: Section, user: User) -> None:
        """Warn where none of the methods that clients may use can serve a user."""
        whys = [why_impossible(user, method) for method in self._methods]
        if whys and whys[0] and all(whys):
            section.warn(None, f"{SHUT_OUT}: {whys[0]}, which ppp.authentication must have")

    def _note_no_department(self, section: Section, suffix: str | None) -> None:
        if suffix is None:
            section.error(
                "name",
                "a name without a suffix belongs to the department 'default', which does not "
                "exist: add it, or a suffix",
            )
            return
        domains = sorted(domain for domain in self._departments if domain is not None)
        known = ", ".join(domains) or "none"
        section.error(
            "name", f"no department has the domain {suffix!r}: add it to one (known: {known})"
        )

    def _check_fixed(
        self,
        section: Section,
        name: str,
        address: IPv4Address | None,
        prefix6: IPv6Network | None,
        department: str,
    ) -> None:
        """Note why a user cannot have a fixed address or prefix."""
        plan, own = self._plan, self._own_networks
        why_not = address and plan.why_not_fixed(address, department, own)
        why_not6 = prefix6 and plan.prefixes.why_not_fixed(prefix6, department, own)
        for key, fixed, why in (("address", address, why_not), ("prefix6", prefix6, why_not6)):
            if fixed is None:
                continue
            holder = self._addresses.setdefault(fixed, name)
            if holder != name:
                section.error(key, f"{fixed} belongs to {holder!r} already: choose another")
            if why is not None:
                section.error(key, f"{fixed} {why}: choose another")
