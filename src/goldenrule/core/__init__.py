"""What every floor stands on: errors that teach, options, findings, keyed randomness, progress, the terminal."""
