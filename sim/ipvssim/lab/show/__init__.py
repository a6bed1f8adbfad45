"""Outcomes shown: terminal, HTML, pictures."""
