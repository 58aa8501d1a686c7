from pathlib import Path

from framecast.jobs import job, stores
from framecast.prediction import predict

with job(snakemake) as (params, settings):
    run, split = Path(snakemake.input.model).parent, snakemake.wildcards.split
    predict(params["spec"], run, stores(snakemake.input), split, Path(snakemake.output[0]), settings)
