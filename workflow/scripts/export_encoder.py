from pathlib import Path

from framecast.workflow.jobs import folder_of, job

with job(snakemake):
    from framecast.prediction.export import export

    export(folder_of(snakemake.input), Path(snakemake.output[0]), {})
