from pathlib import Path

from framecast.index import merge
from framecast.jobs import job

with job(snakemake):
    merge([Path(part) for part in snakemake.input], Path(snakemake.output.index), Path(snakemake.output.rejected))
