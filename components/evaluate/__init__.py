"""Evaluate: metrics, report and model card on the test data."""
