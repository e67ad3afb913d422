"""The inference core that both clouds ship. It knows no provider, imports no SDK and no web framework."""

__version__ = "0.1.0"
