"""What every floor stands on: errors that teach, findings, safe files, keyed randomness, progress."""
