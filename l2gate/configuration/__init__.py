"""Reading of the configuration: every mistake of all files in one run, with file and line."""

from l2gate.configuration.load import Loaded, load
from l2gate.configuration.model import (
    AuthenticationMethod,
    Certificates,
    Configuration,
    EapMethod,
    IpsecSettings,
    L2tpSettings,
    PppSettings,
    Proposals,
    ServerSettings,
)
from l2gate.configuration.problems import ConfigurationError, Place, Problem

__all__ = [
    "AuthenticationMethod",
    "Certificates",
    "Configuration",
    "ConfigurationError",
    "EapMethod",
    "IpsecSettings",
    "L2tpSettings",
    "Loaded",
    "Place",
    "PppSettings",
    "Problem",
    "Proposals",
    "ServerSettings",
    "load",
]
