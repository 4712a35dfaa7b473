"""Runs of pipelines: parameters, runs on this machine and on a cluster, explanations, reports."""
