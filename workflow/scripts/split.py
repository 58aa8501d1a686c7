from pathlib import Path

from framecast.jobs import job
from framecast.splits import assign

with job(snakemake) as (params, _):
    labels = [Path(folder) for folder in snakemake.input.get("labels", [])]
    outputs = Path(snakemake.output.samples), Path(snakemake.output.report)
    assign(Path(snakemake.input.index), labels, params["data"], *outputs)
