"""The `diffnr` command: tasks read from TOML, their reports and figures, the demonstration."""
