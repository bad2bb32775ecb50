"""Fathom beside the servers people would otherwise use, with the same student behind each."""
