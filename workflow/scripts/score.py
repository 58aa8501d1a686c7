from framecast.workflow.jobs import by_split, job, stores

with job(snakemake) as (params, _):
    from framecast.prediction.scoring import score

    predictions, tables, facts = (by_split(snakemake.input.predictions), by_split(snakemake.output.scores),
                                  by_split(snakemake.output.facts))  # fmt: skip
    for split, table in tables.items():
        score(params["spec"], predictions[split], stores(snakemake.input), split, table, facts[split])
