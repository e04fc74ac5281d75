"""Asking vendors: one sweep per connection and tick, one client, and nothing written when nothing changed."""
