"""What all floors stand on: processes, messages, errors, versions, waiting, checks."""
