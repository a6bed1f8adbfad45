"""Scenarios carried out: traffic, directors, runs, figures' raw material."""
