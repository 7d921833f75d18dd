"""The same scheme at one frequency: driven fields by a direct solve, and resonances."""
