from pathlib import Path

from framecast.workflow.jobs import by_split, job, stores

with job(snakemake) as (params, _):
    from framecast.prediction.gallery import draw

    predictions = [Path(path) for path in snakemake.input.predictions]
    for split, picture in by_split(list(snakemake.output)).items():
        members = [path for path in predictions if path.stem == split]
        draw(params["gallery"], members, stores(snakemake.input), split, picture)
