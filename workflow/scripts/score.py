from pathlib import Path

from framecast.jobs import job, stores

with job(snakemake) as (params, _):
    from framecast.scoring import score

    outputs = Path(snakemake.output.scores), Path(snakemake.output.facts)
    predictions, split = Path(snakemake.input.predictions), snakemake.wildcards.split
    score(params["spec"], predictions, stores(snakemake.input), split, *outputs)
