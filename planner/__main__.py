"""`planner`, and `python -m planner`: the command line, which Ctrl-C ends in one word also while it is loaded."""

import sys


def main() -> None:
    """Load the command line and run it; the exit status is that of `planner.cli`."""
    try:
        from planner.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
