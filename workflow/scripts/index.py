from pathlib import Path

from framecast.workflow.jobs import job

with job(snakemake) as (params, _):
    from framecast.data.index import index_bucket
    from framecast.workflow import catalogue

    videos = catalogue.videos(params["listing"])
    index_bucket(Path(params["root"]), videos, Path(snakemake.output[0]), params["timeout"], params["rules"])
