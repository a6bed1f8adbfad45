"""A packet's way through a director: bytes in, effects out."""
