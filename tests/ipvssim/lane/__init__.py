"""Tests of the express lane."""
