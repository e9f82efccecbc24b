"""All native clients that are known."""

from typing import Final

from tests.support.native.linux import (
    CHROMEOS,
    LIBRESWAN,
    MIKROTIK,
    STRONGSWAN,
    mikrotik_phase2,
)
from tests.support.native.racoon import (
    ANDROID_7,
    ANDROID_10,
    ANDROID_GROUP,
    MACOS,
    MACOS_10_12,
    MACOS_GROUP,
    MACOS_OLD,
)
from tests.support.native.windows import WINDOWS_7, WINDOWS_10, WINDOWS_XP

__all__ = [
    "ANDROID_7",
    "ANDROID_10",
    "ANDROID_GROUP",
    "CHROMEOS",
    "GROUP_PROFILES",
    "LIBRESWAN",
    "MACOS",
    "MACOS_10_12",
    "MACOS_GROUP",
    "MACOS_OLD",
    "MIKROTIK",
    "PROFILES",
    "STRONGSWAN",
    "WINDOWS_7",
    "WINDOWS_10",
    "WINDOWS_XP",
    "mikrotik_phase2",
]

PROFILES: Final = (
    WINDOWS_10,
    WINDOWS_7,
    WINDOWS_XP,
    MACOS,
    MACOS_10_12,
    MACOS_OLD,
    ANDROID_10,
    ANDROID_7,
    CHROMEOS,
    STRONGSWAN,
    LIBRESWAN,
    MIKROTIK,
)

GROUP_PROFILES: Final = (MACOS_GROUP, ANDROID_GROUP)
"""Those that use Aggressive Mode, because their user has typed the name of a group."""
