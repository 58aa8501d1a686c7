from pathlib import Path

from framecast.workflow.jobs import job

with job(snakemake):
    from framecast.data.contact_sheet import draw

    frames = [Path(folder) for folder in snakemake.input.frames]
    draw(Path(snakemake.input.samples), frames, Path(snakemake.output[0]))
