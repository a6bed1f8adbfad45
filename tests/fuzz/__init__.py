"""Hostile input: the material that tests of the two backends share, and the C core under the sanitizers."""
