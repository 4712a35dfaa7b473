"""Lets `python -m kfpkit` work as `kfpkit` does."""

from kfpkit.cli import main

main()
