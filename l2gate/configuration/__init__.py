"""Reading of the configuration: every mistake of all files in one run, with file and line."""

from l2gate.configuration.model import (
    AuthenticationMethod,
    Configuration,
    IpsecSettings,
    L2tpSettings,
    PppSettings,
    Proposals,
    ServerSettings,
)

__all__ = [
    "AuthenticationMethod",
    "Configuration",
    "IpsecSettings",
    "L2tpSettings",
    "PppSettings",
    "Proposals",
    "ServerSettings",
]
