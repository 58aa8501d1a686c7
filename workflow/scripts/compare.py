from pathlib import Path

from framecast.workflow.jobs import job

with job(snakemake) as (params, _):
    from framecast.analysis.statistics import compare_files

    scores, facts = ([Path(path) for path in group] for group in (snakemake.input.scores, snakemake.input.facts))
    compare_files(snakemake.wildcards.comparison, params["comparison"], scores, facts, Path(snakemake.output[0]))
