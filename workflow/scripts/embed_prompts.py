from pathlib import Path

from framecast.workflow.jobs import first, job

with job(snakemake) as (params, settings):
    from framecast.encoders.prompts import embed

    weights = first(snakemake.input.get("weights", [])) or params["encoder"]["hub"]
    sources = [Path(path) for path in snakemake.input.get("sources", [])]
    outputs = Path(snakemake.output[0]), settings["device"]
    embed(Path(snakemake.input.samples), params["prompts"], params["encoder"], str(weights), sources, *outputs)
