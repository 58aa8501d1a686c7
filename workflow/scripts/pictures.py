from pathlib import Path

from framecast.jobs import job, stores

with job(snakemake) as (params, _):
    from framecast.run_pictures import draw

    files = [Path(snakemake.input[name]) for name in ("predictions", "scores", "facts")]
    draw(params["spec"], *files, stores(snakemake.input), snakemake.wildcards.split, Path(snakemake.output[0]))
