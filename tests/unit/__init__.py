"""The pure rooms: model, vendors, configuration, routing, and the commands that need no deployment."""
