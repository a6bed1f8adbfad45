"""Many changes in few system calls."""
