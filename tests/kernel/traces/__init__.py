"""Random traces by kind and seed (the format is that of `ipvssim.doors.replay`)."""
