from pathlib import Path

from framecast.workflow.jobs import job

with job(snakemake) as (params, _):
    from framecast.data.splits import assign

    labels = [Path(folder) for folder in snakemake.input.get("labels", [])]
    outputs = Path(snakemake.output.samples), Path(snakemake.output.report)
    assign(Path(snakemake.input.index), labels, params["data"], *outputs)
