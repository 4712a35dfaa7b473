"""Old runs and what belongs to them alone: chosen by a rule, and removed in a safe order."""
