"""The table: job heads and history entries, connections, deliveries. Everything that is remembered."""
