# Tune → train → predict → score. These rules know no task: the task, the model and the budget are in the spec.
RUN = "results/runs/{experiment}/seed_{seed}"


rule tune:
    input:
        unpack(lambda w: FLOW.run_inputs(w, "tune")),
    output:
        "results/runs/{experiment}/tuned.json",
    log:
        "results/logs/tune/{experiment}.log",
    conda:
        lambda w: FLOW.env(w)
    threads: lambda w: FLOW.threads(w)
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=FLOW.gpus(),
    params:
        spec=lambda w: FLOW.spec(w, "tune"),
    script:
        "../scripts/tune.py"


rule train:
    input:
        unpack(lambda w: FLOW.run_inputs(w, "train")),
    output:
        model=f"{RUN}/model.safetensors",
        run=f"{RUN}/run.json",
        curve=f"{RUN}/curve.csv",
    log:
        "results/logs/train/{experiment}/seed_{seed}.log",
    wildcard_constraints:
        experiment=run_rules.trained(FLOW.plan),
    conda:
        lambda w: FLOW.env(w)
    threads: lambda w: FLOW.threads(w)
    resources:
        mem_mb=8000,
        runtime=2880,
        gpu=FLOW.gpus(),
    params:
        spec=lambda w: FLOW.spec(w, "train"),
    script:
        "../scripts/train.py"


# One job a run for all evaluated splits; where nothing trains, it makes the run as well.
for part in run_rules.predict(FLOW.plan):
    workflow.ruleorder(*dict.fromkeys([part.name, "predict"]))

    rule:
        name:
            part.name
        input:
            unpack(lambda w, stage=part.stage: FLOW.run_inputs(w, stage)),
        output:
            **{name: f"{RUN}/{file}" for name, file in part.files.items()},
            predictions=expand(f"{RUN}/predictions/{{split}}.h5", split=part.splits, allow_missing=True),
        log:
            f"results/logs/predict/{{experiment}}/seed_{{seed}}/{part.log}.log",
        wildcard_constraints:
            experiment=part.names,
        conda:
            lambda w: FLOW.env(w)
        threads: lambda w: FLOW.threads(w)
        resources:
            mem_mb=8000,
            runtime=480,
            gpu=FLOW.gpus(),
        params:
            start=lambda w, stage=part.stage: FLOW.spec(w, "start") if stage == "start" else "",
            spec=lambda w: FLOW.spec(w, "predict"),
        script:
            "../scripts/predict.py"


for part in run_rules.score(FLOW.plan):

    rule:
        name:
            part.name
        input:
            unpack(lambda w: FLOW.run_inputs(w, "score")),
            predictions=expand(f"{RUN}/predictions/{{split}}.h5", split=part.splits, allow_missing=True),
        output:
            scores=expand(f"{RUN}/scores/{{split}}.csv", split=part.splits, allow_missing=True),
            facts=expand(f"{RUN}/scores/{{split}}.json", split=part.splits, allow_missing=True),
        log:
            "results/logs/score/{experiment}/seed_{seed}.log",
        wildcard_constraints:
            experiment=part.names,
        conda:
            "../../envs/torch.yaml"
        resources:
            mem_mb=8000,
            runtime=60,
        params:
            spec=lambda w: FLOW.spec(w, "score"),
        script:
            "../scripts/score.py"
