from pathlib import Path

from framecast.workflow.jobs import first, job, stores

with job(snakemake) as (params, settings):
    from framecast.training.loop import tune

    parent = first(snakemake.input.get("parent", []))
    work = Path("results/work") / snakemake.wildcards.experiment
    tune(params["spec"], stores(snakemake.input), parent, Path(snakemake.output[0]), work, settings)
