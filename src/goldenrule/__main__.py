"""`goldenrule` and `python -m goldenrule`: the command line."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is still loading is no traceback either."""
    try:
        from goldenrule.cli.main import run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
