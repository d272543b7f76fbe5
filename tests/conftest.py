"""Fixtures shared by all layers: real databases, a real service over one, a real HTTP server over that."""

from geodispatch.logs import configure_logs

configure_logs()

pytest_plugins = ["tests.databases", "tests.services", "tests.people", "tests.records"]
