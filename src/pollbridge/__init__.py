"""The webhook that AI-job vendors don't offer."""

__version__ = "0.1.0"
