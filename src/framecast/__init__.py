"""framecast: a Snakemake workflow and a library for research on video prediction."""

__version__ = "0.1.0"

SETTINGS = "FRAMECAST_SETTINGS"
"""Environment variable with the config's `settings` as JSON: set while the Snakefile is parsed, read by jobs."""
