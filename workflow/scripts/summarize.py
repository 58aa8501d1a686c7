from pathlib import Path

from framecast.workflow.jobs import job, report_inputs

with job(snakemake) as (params, _):
    from framecast.analysis import workbook

    workbook.write(report_inputs(snakemake.input, params), Path(snakemake.output[0]))
