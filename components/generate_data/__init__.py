"""Generate data: the Palmer penguins, split into train and test."""
