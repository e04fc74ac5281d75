"""The rooms that do I/O, against fakes that answer like the real thing, on loopback."""
