"""Runs on this machine, from the compiled pipeline."""
