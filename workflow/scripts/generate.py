from pathlib import Path

from framecast import catalogue, shapes
from framecast.jobs import job

with job(snakemake) as (params, _):
    shapes.generate(params["source"], catalogue.videos(params["listing"]), Path(snakemake.output[0]))
