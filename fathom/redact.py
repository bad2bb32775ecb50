"""Text without secrets, for logs and errors: no password in a URL, no token in a header."""

import re

# Greedy up to the last @ of the word, because cameras ship with passwords that hold one, unescaped.
_USER_INFO = re.compile(r"(?<=://)\S*@")
_HEADER = re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9+/=._~-]{16,}")


def redact(text: str) -> str:
    """The text as it may be shown."""
    if "://" in text:
        text = _USER_INFO.sub("***@", text)
    return _HEADER.sub(r"\1\2***", text)
