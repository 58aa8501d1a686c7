from pathlib import Path

from framecast import runs
from framecast.jobs import by_split, first, job, stores
from framecast.prediction import predict

with job(snakemake) as (params, settings):
    splits = by_split(snakemake.output.predictions)
    run = Path(snakemake.output[0]).parents[1] if splits else Path(snakemake.output.run).parent
    if params["start"]:
        made = {name: Path(path) for name, path in snakemake.output.items() if name != "predictions"}
        runs.start(params["start"], stores(snakemake.input), first(snakemake.input.parent), made, settings)
    for split, out in splits.items():
        predict(params["spec"], run, stores(snakemake.input), split, out, settings)
