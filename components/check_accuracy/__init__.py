"""Check accuracy: fail the run where the model is not good enough."""
