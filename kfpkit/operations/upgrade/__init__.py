"""Upgrades of an installation that can be broken off, gone on with, and taken back."""
