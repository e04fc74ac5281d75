"""The pure rooms: model, vendors, configuration, routing, and the commands that need no deployment."""

from hypothesis import settings

# How long an example takes says something of the machine, nothing of the code.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
