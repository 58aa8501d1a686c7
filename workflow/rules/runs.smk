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
    wildcard_constraints:
        experiment=run_rules.trained(FLOW.plan),
    log:
        "results/logs/train/{experiment}/seed_{seed}.log",
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
            predictions=expand(f"{RUN}/predictions/{{split}}.h5", split=part.splits, allow_missing=True),
            **{name: f"{RUN}/{file}" for name, file in part.files.items()},
        wildcard_constraints:
            experiment=part.experiments,
        log:
            f"results/logs/predict/{{experiment}}/seed_{{seed}}/{part.log}.log",
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
        wildcard_constraints:
            experiment=part.experiments,
        log:
            "results/logs/score/{experiment}/seed_{seed}.log",
        conda:
            "../../envs/torch.yaml"
        resources:
            mem_mb=8000,
            runtime=60,
        params:
            spec=lambda w: FLOW.spec(w, "score"),
        script:
            "../scripts/score.py"


for part in run_rules.pictures(FLOW.plan):

    rule:
        name:
            part.name
        input:
            unpack(lambda w: FLOW.run_inputs(w, "pictures")),
            predictions=expand(f"{RUN}/predictions/{{split}}.h5", split=part.splits, allow_missing=True),
            scores=expand(f"{RUN}/scores/{{split}}.csv", split=part.splits, allow_missing=True),
            facts=expand(f"{RUN}/scores/{{split}}.json", split=part.splits, allow_missing=True),
        output:
            directory(expand(f"{RUN}/pictures/{{split}}", split=part.splits, allow_missing=True)),
        wildcard_constraints:
            experiment=part.experiments,
        log:
            "results/logs/pictures/{experiment}/seed_{seed}.log",
        conda:
            "../../envs/torch.yaml"
        resources:
            mem_mb=8000,
            runtime=60,
        params:
            spec=lambda w: FLOW.spec(w, "pictures"),
        script:
            "../scripts/pictures.py"


rule submit:
    input:
        unpack(lambda w: FLOW.run_inputs(w, "submit")),
        predictions=f"{RUN}/predictions/{{split}}.h5",
    output:
        directory(f"{RUN}/submission/{{split}}"),
    log:
        "results/logs/submit/{experiment}/seed_{seed}/{split}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        spec=lambda w: FLOW.spec(w, "submit"),
    script:
        "../scripts/submit.py"
