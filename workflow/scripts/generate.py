from pathlib import Path

from framecast.jobs import job

with job(snakemake) as (params, _):
    from framecast import catalogue, shapes

    shapes.generate(params["source"], catalogue.videos(params["listing"]), Path(snakemake.output[0]))
