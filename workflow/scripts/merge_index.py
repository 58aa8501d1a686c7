from pathlib import Path

from framecast.jobs import job

with job(snakemake):
    from framecast.index import merge

    merge([Path(part) for part in snakemake.input], Path(snakemake.output.index), Path(snakemake.output.rejected))
