from pathlib import Path

from framecast.jobs import job, stores
from framecast.run_pictures import draw

with job(snakemake) as (params, _):
    files = [Path(snakemake.input[name]) for name in ("predictions", "scores", "facts")]
    draw(params["spec"], *files, stores(snakemake.input), snakemake.wildcards.split, Path(snakemake.output[0]))
