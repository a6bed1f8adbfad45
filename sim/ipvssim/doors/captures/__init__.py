"""Captures: files of packets, read as streams, told apart by the side they were seen on, compared with a director."""
