from pathlib import Path

from framecast.jobs import job, stores

with job(snakemake) as (params, settings):
    from framecast.prediction import predict

    run, split = Path(snakemake.input.model).parent, snakemake.wildcards.split
    predict(params["spec"], run, stores(snakemake.input), split, Path(snakemake.output[0]), settings)
