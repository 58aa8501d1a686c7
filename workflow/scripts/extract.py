from pathlib import Path

from framecast.workflow.jobs import job

with job(snakemake) as (params, _):
    from framecast.data.extraction import extract

    extract(Path(snakemake.input[0]), params["frame_set"], Path(snakemake.output[0]))
