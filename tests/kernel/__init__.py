"""What runs on the real kernel, and what is compared with it."""
