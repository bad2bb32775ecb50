"""What a Fathom client and server agree on: values, codecs, geometry, errors, wire and session."""

__version__ = "0.1.0"
