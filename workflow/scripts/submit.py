from pathlib import Path

from framecast.workflow.jobs import job, stores

with job(snakemake) as (params, _):
    from framecast.prediction.submission import write

    predictions, split = Path(snakemake.input.predictions), snakemake.wildcards.split
    write(params["spec"], predictions, stores(snakemake.input), split, Path(snakemake.output[0]))
