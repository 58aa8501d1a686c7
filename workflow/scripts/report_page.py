from pathlib import Path

from framecast import report
from framecast.jobs import job, report_inputs

with job(snakemake) as (params, _):
    report.write(report_inputs(snakemake.input, params), Path(snakemake.output[0]))
