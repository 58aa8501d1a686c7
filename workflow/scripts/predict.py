from pathlib import Path

from framecast.workflow.jobs import by_split, first, folder_of, job, stores

with job(snakemake) as (params, settings):
    from framecast.prediction.inference import predict
    from framecast.training import runs

    made = {name: Path(path) for name, path in snakemake.output.items() if name != "predictions"}
    if made:
        runs.start(params["start"], stores(snakemake.input), first(snakemake.input.parent), made, settings)
    run = made["run"].parent if made else folder_of(snakemake.input.run)
    for split, out in by_split(snakemake.output.predictions).items():
        predict(params["spec"], run, stores(snakemake.input), split, out, settings)
