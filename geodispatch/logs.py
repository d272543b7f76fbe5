"""How logs are written: lines for a person at a terminal, JSON elsewhere; on stderr, for stdout is for results.

Tracebacks carry no local variables: among them are keys, addresses and what people wrote.
"""

from __future__ import annotations

import sys

import structlog


def configure_logs() -> None:
    """Set structlog up for this process; a program calls it once, a library never."""
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if sys.stderr.isatty():
        processors.append(structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback))
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(processors=processors, logger_factory=structlog.PrintLoggerFactory(sys.stderr))
