"""Train: a random forest on the transformed data."""
