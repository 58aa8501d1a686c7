from pathlib import Path

from framecast.jobs import first, job
from framecast.prompts import embed

with job(snakemake) as (params, settings):
    weights = first(snakemake.input.get("weights", [])) or params["encoder"]["hub"]
    sources = [Path(path) for path in snakemake.input.get("sources", [])]
    outputs = Path(snakemake.output[0]), settings["device"]
    embed(Path(snakemake.input.samples), params["prompts"], params["encoder"], str(weights), sources, *outputs)
