"""Runs the functions in their real runtimes on this machine, without a cloud and without Docker."""

from pilotlight_cli.local.process import PortTaken, ServeError
from pilotlight_cli.local.server import Server, serving

__all__ = ["PortTaken", "ServeError", "Server", "serving"]
