"""The API process, and the core that it shares with the workers."""

__version__ = "0.1.0"
