"""Groups with keys of their own, at the server and at a native client."""

from dataclasses import replace

from l2gate.configuration.model import KeySettings
from tests.support.lab import PSK, Lab, configuration
from tests.support.native.profile import Profile

KEY = b"another long and random pre-shared key"


def admit(lab: Lab, *groups: str) -> None:
    """Tell the server of groups by a reload."""
    keys = tuple(KeySettings(KEY + group.encode(), group=group) for group in groups)
    settings = configuration()
    lab.server.gateway.replace_credentials(
        replace(settings, ipsec=replace(settings.ipsec, keys=keys))
    )


def group_of(profile: Profile) -> str | None:
    """Return the name that the user has typed."""
    return None if profile.phase1.group is None else profile.phase1.group[1].decode()


def key_of(profile: Profile) -> bytes:
    """Return the pre-shared key that goes with it."""
    group = group_of(profile)
    return PSK if group is None else KEY + group.encode()
