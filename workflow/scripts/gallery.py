from pathlib import Path

from framecast.jobs import job, stores

with job(snakemake) as (params, _):
    from framecast.gallery import draw

    predictions = [Path(path) for path in snakemake.input.predictions]
    draw(params["gallery"], predictions, stores(snakemake.input), snakemake.wildcards.split, Path(snakemake.output[0]))
