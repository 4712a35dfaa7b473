"""Transform: drop incomplete rows, encode the species, scale the measures."""
