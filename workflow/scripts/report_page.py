from pathlib import Path

from framecast.jobs import job, report_inputs

with job(snakemake) as (params, _):
    from framecast import report

    report.write(report_inputs(snakemake.input, params), Path(snakemake.output[0]))
