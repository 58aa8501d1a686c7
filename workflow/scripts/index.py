from pathlib import Path

from framecast.jobs import job

with job(snakemake) as (params, _):
    from framecast import catalogue
    from framecast.index import index_bucket

    videos = catalogue.videos(params["listing"])
    index_bucket(Path(params["root"]), videos, Path(snakemake.output[0]), params["timeout"], params["rules"])
