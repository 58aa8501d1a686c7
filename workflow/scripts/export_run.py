from pathlib import Path

from framecast.workflow.jobs import folder_of, job

with job(snakemake) as (params, _):
    from framecast.prediction.export import export
    from framecast.weights import hub

    parts = {name: hub.folder(*where) for name, where in params["parts"].items()}
    export(folder_of(snakemake.input.run), Path(snakemake.output[0]), parts)
