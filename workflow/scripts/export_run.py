from pathlib import Path

from framecast.jobs import folder_of, job

with job(snakemake) as (params, _):
    from framecast import hub
    from framecast.encoders.export import export

    parts = {name: hub.folder(*where) for name, where in params["parts"].items()}
    export(folder_of(snakemake.input.run), Path(snakemake.output[0]), parts)
