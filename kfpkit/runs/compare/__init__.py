"""Runs side by side: whether they agree, and in what they do not."""
