from pathlib import Path

from framecast.workflow.jobs import job

with job(snakemake) as (params, _):
    from framecast.data.annotation_files import write

    write(Path(snakemake.input[0]), params["files"], Path(snakemake.output[0]))
