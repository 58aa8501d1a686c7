from pathlib import Path

from framecast.workflow.jobs import first, job

with job(snakemake) as (params, settings):
    from framecast.encoders.encoding import encode

    weights = first(snakemake.input.get("weights", [])) or params["encoder"]["hub"]
    outputs = Path(snakemake.output[0]), settings["device"]
    encode(Path(snakemake.input.frames), params["encoder"], str(weights), *outputs)
