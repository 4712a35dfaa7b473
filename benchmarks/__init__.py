"""What is measured of the kit, and against what."""
