from pathlib import Path

from framecast.jobs import folder_of, job

with job(snakemake):
    from framecast.encoders.export import export

    export(folder_of(snakemake.input), Path(snakemake.output[0]), {})
