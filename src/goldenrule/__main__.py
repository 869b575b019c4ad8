"""`python -m goldenrule`: the command line."""

from goldenrule.cli.main import run

run()
