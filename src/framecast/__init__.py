"""framecast: a Snakemake workflow and a library for research on video prediction."""

import os

__version__ = "0.1.0"

SETTINGS = "FRAMECAST_SETTINGS"
"""Environment variable with the config's `settings` as JSON: set while the Snakefile is parsed, read by jobs."""

# libgomp's threads spin until all have finished a parallel loop, also while another process holds the core of the one
# that they wait for: then a step takes a multiple of its time. Few turns before sleep cost little alone
# (benchmarks/neighbour.py) and change no byte. It reads this once, when torch loads, and every job imports us first.
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "1000"
