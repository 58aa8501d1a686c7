from pathlib import Path

from framecast.workflow.jobs import job

with job(snakemake):
    from framecast.data.index import merge

    merge([Path(part) for part in snakemake.input], Path(snakemake.output.index), Path(snakemake.output.rejected))
