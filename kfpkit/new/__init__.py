"""Skeletons that a user's own pipeline or component begins as."""
