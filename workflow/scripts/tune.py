from pathlib import Path

from framecast.jobs import first, job, stores

with job(snakemake) as (params, settings):
    from framecast.training import tune

    parent = first(snakemake.input.get("parent", []))
    work = Path("results/work") / snakemake.wildcards.experiment
    tune(params["spec"], stores(snakemake.input), parent, Path(snakemake.output[0]), work, settings)
