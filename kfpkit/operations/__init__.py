"""What changes an installation: install, rotate, back up, restore, prune, upgrade."""
