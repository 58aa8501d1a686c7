from pathlib import Path

from framecast.jobs import job
from framecast.mask_import import import_masks

with job(snakemake) as (params, _):
    import_masks(Path(snakemake.input[0]), params["rules"], Path(snakemake.output[0]))
