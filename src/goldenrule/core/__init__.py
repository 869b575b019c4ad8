"""What every floor stands on: errors that teach, options, findings, texts by id, keyed randomness, the terminal.

Reading order: errors, reason · option · findings, messages (texts in languages/) · schema (values as JSON
and back) · progress, alive, console, visible, cells · randomness · interrupts, budget, memory, blas · functions,
lazy, extras, version.
"""
