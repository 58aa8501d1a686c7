from pathlib import Path

from framecast.workflow.jobs import first, job, stores

with job(snakemake) as (params, settings):
    from framecast.training.loop import train

    tuned, parent = first(snakemake.input.get("tuned", [])), first(snakemake.input.get("parent", []))
    outputs = {name: Path(path) for name, path in snakemake.output.items()}
    work = Path("results/work") / snakemake.wildcards.experiment
    train(params["spec"], stores(snakemake.input), tuned, parent, outputs, work, settings)
