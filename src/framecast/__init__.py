"""framecast: a Snakemake workflow and a library for research on video prediction."""

__version__ = "0.1.0"
