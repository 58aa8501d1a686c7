"""From config to graph: resolved experiments, inputs of rules, code fingerprints, shard listings, jobs."""
