"""Runs of pipelines: what a run is, running one on this machine, and the report on it."""
