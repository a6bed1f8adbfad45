"""Captures of a real director, made with the real tcpdump in the laboratory, beside what that director chose."""
