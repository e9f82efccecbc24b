"""What a department allows its users beyond logging in."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
DAY = 24 * 60
WEEK = 7 * DAY


@dataclass(frozen=True, slots=True)
class Allowed:
    """A destination that clients may reach.

    `protocol` is tcp, udp, icmp (of either version) or None for all; `ports` are first and
    last of ranges, empty for all.
    """

    to: IPv4Network | IPv6Network
    protocol: str | None = None
    ports: tuple[tuple[int, int], ...] = ()

    def admits(self, address: IPv4Network | IPv6Network, protocol: str, port: int) -> bool:
        """Say whether an address is reached by a protocol at a port."""
        return (
            address.version == self.to.version
            and int(self.to[0]) <= int(address[0]) <= int(self.to[-1])
            and self.protocol in (None, protocol)
            and (not self.ports or any(first <= port <= last for first, last in self.ports))
        )


@dataclass(frozen=True, slots=True)
class Span:
    """A time of some days of the week, Monday is 0.

    `start` and `end` are minutes of the day; an end that is not later is one of the next day.
    """

    days: tuple[int, ...]
    start: int
    end: int

    def __str__(self) -> str:
        return f"{','.join(DAYS[day] for day in self.days)} {_clock(self.start)}-{_clock(self.end)}"

    def minutes(self) -> list[tuple[int, int]]:
        """Return start and end of each day's, in minutes of the week."""
        length = (self.end - self.start) % DAY or DAY
        starts = [day * DAY + self.start for day in self.days]
        return [(start, start + length) for start in starts]


@dataclass(frozen=True, slots=True)
class Hours:
    """When users may be connected."""

    spans: tuple[Span, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.spans))

    def time_left(self, now: float) -> float | None:
        """Return the seconds until the time is over, 0 outside of it, None if it has no end.

        `now` counts seconds since 1970; hours are those of the local time zone.
        """
        moment = datetime.fromtimestamp(now)
        monday = moment.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(
            days=moment.weekday()
        )
        minute = (moment - monday).total_seconds() / 60
        until = self._until(minute)
        if until is None:
            return None
        if until == minute:
            return 0.0
        end = (monday + timedelta(minutes=until)).replace(fold=moment.fold)
        return max(0.0, end.timestamp() - now)

    def _until(self, minute: float) -> float | None:
        """Return the end of the time that a minute of the week is in, itself where in none."""
        spans = [
            (start + shift, end + shift)
            for span in self.spans
            for start, end in span.minutes()
            for shift in (-WEEK, 0, WEEK)
        ]
        until = minute
        for start, end in sorted(spans):
            if start <= until < end:
                until = end
        return None if until - minute > WEEK - 1 else until


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a department allows.

    `allow` is what clients reach, None where that is anything but other clients.

    With `client_to_client` those of the department reach each other.
    A session ends `session_timeout` seconds after its login, after `idle_timeout` seconds
    without a packet of its user's, and with the `hours`; None stands for no such end.
    Where a user has all sessions that there may be, another one is refused, or takes the place
    of the oldest one (`replace_sessions`).
    Each session may send `rate_up` and receive `rate_down` bits a second, in packets of `mtu`
    octets at most; None stands for no limit.
    With `proxy_arp` the server answers ARP for the clients in its own networks.
    """

    allow: tuple[Allowed, ...] | None = None
    client_to_client: bool = False
    session_timeout: float | None = None
    idle_timeout: float | None = None
    hours: Hours | None = None
    replace_sessions: bool = False
    rate_up: int | None = None
    rate_down: int | None = None
    mtu: int | None = None
    proxy_arp: bool = False
