from pathlib import Path

from framecast.encoders.export import export
from framecast.jobs import folder_of, job

with job(snakemake):
    export(folder_of(snakemake.input), Path(snakemake.output[0]), {})
