"""Fixtures shared by all layers: real databases, a real service over one, a real HTTP server over that."""

from hypothesis import settings

from geodispatch.logs import configure_logs

configure_logs()

# Timings never decide a test: the first case of a cold machine waits for a kernel to be compiled or loaded.
settings.register_profile("geodispatch", deadline=None)
settings.load_profile("geodispatch")

pytest_plugins = ["tests.databases", "tests.services", "tests.people", "tests.records"]
