"""`python -m diffnr`: the `diffnr` command. It is run and never imported, so the physics still knows no optimiser."""

from optimize.command.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
