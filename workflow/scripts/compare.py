from framecast.files import write_json
from framecast.jobs import job
from framecast.provenance import record
from framecast.statistics import compare, read_facts, read_scores

with job(snakemake) as (params, _):
    entry, scores = params["comparison"], read_scores(list(snakemake.input.scores))
    facts = read_facts(list(snakemake.input.facts))
    result = compare(snakemake.wildcards.comparison, entry, scores, facts, entry["select"])
    write_json(snakemake.output[0], result | {"provenance": record(inputs=sorted(snakemake.input.scores))})
