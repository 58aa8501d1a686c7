# Tune → train → predict → score. These rules know no task: the task, the model and the budget are in the spec.


rule tune:
    input:
        stores=lambda w: FLOW.stores(w),
        masks=lambda w: FLOW.masks(w),
        labels=lambda w: FLOW.frame_labels(w),
        prompts=lambda w: FLOW.prompts(w),
        pretrained=lambda w: FLOW.pretrained(w),
        networks=lambda w: FLOW.networks(w),
        sources=lambda w: FLOW.sources(w),
        parent=lambda w: FLOW.parent(w),
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
        stores=lambda w: FLOW.stores(w),
        masks=lambda w: FLOW.masks(w),
        labels=lambda w: FLOW.frame_labels(w),
        prompts=lambda w: FLOW.prompts(w),
        pretrained=lambda w: FLOW.pretrained(w),
        networks=lambda w: FLOW.networks(w),
        sources=lambda w: FLOW.sources(w),
        tuned=lambda w: FLOW.tuned(w),
        parent=lambda w: FLOW.parent(w),
    output:
        model="results/runs/{experiment}/seed_{seed}/model.safetensors",
        run="results/runs/{experiment}/seed_{seed}/run.json",
        curve="results/runs/{experiment}/seed_{seed}/curve.csv",
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


rule predict:
    input:
        stores=lambda w: FLOW.stores(w),
        masks=lambda w: FLOW.masks(w),
        labels=lambda w: FLOW.frame_labels(w),
        prompts=lambda w: FLOW.prompts(w),
        pretrained=lambda w: FLOW.pretrained(w),
        networks=lambda w: FLOW.networks(w),
        sources=lambda w: FLOW.sources(w),
        model="results/runs/{experiment}/seed_{seed}/model.safetensors",
        run="results/runs/{experiment}/seed_{seed}/run.json",
    output:
        "results/runs/{experiment}/seed_{seed}/predictions/{split}.h5",
    log:
        "results/logs/predict/{experiment}/seed_{seed}/{split}.log",
    conda:
        lambda w: FLOW.env(w)
    threads: lambda w: FLOW.threads(w)
    resources:
        mem_mb=8000,
        runtime=480,
        gpu=FLOW.gpus(),
    params:
        spec=lambda w: FLOW.spec(w, "predict"),
    script:
        "../scripts/predict.py"


rule score:
    input:
        stores=lambda w: FLOW.stores(w),
        masks=lambda w: FLOW.masks(w),
        labels=lambda w: FLOW.frame_labels(w),
        prompts=lambda w: FLOW.prompts(w),
        pretrained=lambda w: FLOW.pretrained(w),
        networks=lambda w: FLOW.networks(w),
        sources=lambda w: FLOW.sources(w),
        predictions="results/runs/{experiment}/seed_{seed}/predictions/{split}.h5",
    output:
        scores="results/runs/{experiment}/seed_{seed}/scores/{split}.csv",
        facts="results/runs/{experiment}/seed_{seed}/scores/{split}.json",
    log:
        "results/logs/score/{experiment}/seed_{seed}/{split}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        spec=lambda w: FLOW.spec(w, "score"),
    script:
        "../scripts/score.py"


rule submit:
    input:
        stores=lambda w: FLOW.stores(w),
        masks=lambda w: FLOW.masks(w),
        labels=lambda w: FLOW.frame_labels(w),
        prompts=lambda w: FLOW.prompts(w),
        pretrained=lambda w: FLOW.pretrained(w),
        networks=lambda w: FLOW.networks(w),
        sources=lambda w: FLOW.sources(w),
        predictions="results/runs/{experiment}/seed_{seed}/predictions/{split}.h5",
    output:
        directory("results/runs/{experiment}/seed_{seed}/submission/{split}"),
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


rule pictures:
    input:
        stores=lambda w: FLOW.stores(w),
        masks=lambda w: FLOW.masks(w),
        labels=lambda w: FLOW.frame_labels(w),
        prompts=lambda w: FLOW.prompts(w),
        pretrained=lambda w: FLOW.pretrained(w),
        networks=lambda w: FLOW.networks(w),
        sources=lambda w: FLOW.sources(w),
        predictions="results/runs/{experiment}/seed_{seed}/predictions/{split}.h5",
        scores="results/runs/{experiment}/seed_{seed}/scores/{split}.csv",
        facts="results/runs/{experiment}/seed_{seed}/scores/{split}.json",
    output:
        directory("results/runs/{experiment}/seed_{seed}/pictures/{split}"),
    log:
        "results/logs/pictures/{experiment}/seed_{seed}/{split}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        spec=lambda w: FLOW.spec(w, "pictures"),
    script:
        "../scripts/pictures.py"
