"""The scheme in time: the step, sources and probes, runs, and lines in what rings."""
