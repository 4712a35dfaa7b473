"""Backups of an installation: made, proved, put back, and compared."""
