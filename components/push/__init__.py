"""Push: an accepted model, with its card, to a versioned place."""
