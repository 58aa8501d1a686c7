from pathlib import Path

from framecast.jobs import job, stores
from framecast.scoring import score

with job(snakemake) as (params, _):
    outputs = Path(snakemake.output.scores), Path(snakemake.output.facts)
    predictions, split = Path(snakemake.input.predictions), snakemake.wildcards.split
    score(params["spec"], predictions, stores(snakemake.input), split, *outputs)
