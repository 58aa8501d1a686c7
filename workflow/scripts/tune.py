from pathlib import Path

from framecast.jobs import first, job, stores
from framecast.training import tune

with job(snakemake) as (params, settings):
    parent = first(snakemake.input.get("parent", []))
    work = Path("results/work") / snakemake.wildcards.experiment
    tune(params["spec"], stores(snakemake.input), parent, Path(snakemake.output[0]), work, settings)
