"""How the simulated kernel is reached: table file, server, traces, captures, pytest."""
