"""Fixtures shared by all layers: real databases, a real service over one, a real HTTP server over that."""

pytest_plugins = ["tests.databases", "tests.services"]
