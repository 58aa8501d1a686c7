from pathlib import Path

from framecast.workflow.jobs import job

with job(snakemake) as (params, _):
    from framecast.workflow import catalogue
    from framecast.world import generation

    generation.generate(params["source"], catalogue.videos(params["listing"]), Path(snakemake.output[0]))
