"""Traces: which one a request belongs to, by W3C's headers."""
