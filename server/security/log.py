"""Log lines without secrets, wherever they come from: settings, errors, tracebacks of libraries."""

import logging

from fathom.redact import redact


class RedactingFormatter(logging.Formatter):
    """Redacts the whole line, its traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
