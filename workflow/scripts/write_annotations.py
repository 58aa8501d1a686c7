from pathlib import Path

from framecast.annotation_files import write
from framecast.jobs import job

with job(snakemake) as (params, _):
    write(Path(snakemake.input[0]), params["files"], Path(snakemake.output[0]))
