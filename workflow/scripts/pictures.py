from framecast.workflow.jobs import by_split, job, stores

with job(snakemake) as (params, _):
    from framecast.prediction.pictures import draw

    files = [by_split(snakemake.input[name]) for name in ("predictions", "scores", "facts")]
    for split, folder in by_split(list(snakemake.output)).items():
        draw(params["spec"], *(one[split] for one in files), stores(snakemake.input), split, folder)
