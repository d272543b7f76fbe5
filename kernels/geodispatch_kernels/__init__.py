"""Kernels of geodispatch: pure functions on arrays, compiled; no I/O, no event loop, no exceptions.

See kernels/README.md for the index on one page.
"""
