"""A line of text, whoever wrote it."""

from __future__ import annotations


def one_line(text: str) -> str:
    """Return the text on one line: no line break, no control character, no half character, no run of spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
