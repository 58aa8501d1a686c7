from pathlib import Path

from framecast.workflow.jobs import job

with job(snakemake):
    from framecast.encoders.probing import probe

    embeddings, labels = (
        [Path(path) for path in group] for group in (snakemake.input.embeddings, snakemake.input.labels)
    )
    probe(embeddings, labels, Path(snakemake.input.samples), Path(snakemake.output[0]))
