"""Ways to a kernel. The only room that opens sockets, and the one that reaches the simulator."""
