"""The one layout of all pages: `templates/base.html` has the head, the bar and the foot, and each page the rest.

Some pages the server writes anew for whoever asks (`public_pages`). The others are the same for everybody, are written
once, and what is in them is put there by their scripts (`pages`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES: Final = Path(__file__).parent / "templates"


def read_templates() -> Environment:
    """Return the templates; whatever is put into one is escaped."""
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
