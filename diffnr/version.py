"""The version of diffnr; pyproject.toml and CITATION.cff name the same one (a test holds them to it)."""

__version__ = "0.2.0.dev0"
