"""Waves of guides, ports that know them, and a scene as a port model."""
