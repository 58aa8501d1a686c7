from pathlib import Path

from framecast.extraction import extract
from framecast.jobs import job

with job(snakemake) as (params, _):
    extract(Path(snakemake.input[0]), params["frame_set"], Path(snakemake.output[0]))
