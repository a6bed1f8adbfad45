"""Other people's programs on a simulated kernel: their system calls about IPVS are answered here, all others by Linux."""
