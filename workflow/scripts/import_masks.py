from pathlib import Path

from framecast.workflow.jobs import job

with job(snakemake) as (params, _):
    from framecast.data.mask_import import import_masks

    import_masks(Path(snakemake.input[0]), params["rules"], Path(snakemake.output[0]))
