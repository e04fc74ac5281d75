"""From history entries to the event bus."""
