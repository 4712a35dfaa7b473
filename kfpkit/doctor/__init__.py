"""Finding out what is wrong with an installation, and with a run."""
