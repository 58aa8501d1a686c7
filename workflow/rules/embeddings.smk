# Frames → embeddings, cached once for all experiments. Our own encoders are exported in the hub's folder format first.


rule export_encoder:
    input:
        lambda w: FLOW.exported_run(w),
    output:
        directory("results/encoders/{encoder}"),
    log:
        "results/logs/export_encoder/{encoder}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        code=lambda w: FLOW.encoder_code(w),
    script:
        "../scripts/export_encoder.py"


rule export_run:
    input:
        run=lambda w: FLOW.first_run(w),
        parts=lambda w: FLOW.export_folders(w),
    output:
        directory("results/exports/{experiment}"),
    log:
        "results/logs/export_run/{experiment}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=8000,
        runtime=20,
    params:
        parts=lambda w: FLOW.export_parts(w),
        code=lambda w: FLOW.export_code(w),
    script:
        "../scripts/export_run.py"


rule embed:
    input:
        frames=lambda w: FLOW.encoder_frames(w),
        weights=lambda w: FLOW.encoder_weights(w),
    output:
        "results/data/{data}/embeddings/{encoder}/bucket_{bucket}.h5",
    log:
        "results/logs/embed/{data}/{encoder}/bucket_{bucket}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=6000,
        runtime=240,
        gpu=FLOW.gpus(),
    params:
        encoder=lambda w: FLOW.encoder(w),
    script:
        "../scripts/embed.py"


rule embed_prompts:
    input:
        samples="results/data/{data}/samples.parquet",
        weights=lambda w: FLOW.prompt_weights(w),
        sources=lambda w: FLOW.prompt_sources(w),
    output:
        "results/data/{data}/prompts/{prompts}.h5",
    log:
        "results/logs/embed_prompts/{data}/{prompts}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=6000,
        runtime=240,
        gpu=FLOW.gpus(),
    params:
        prompts=lambda w: FLOW.prompt_config(w),
        encoder=lambda w: FLOW.prompt_encoder(w),
    script:
        "../scripts/embed_prompts.py"


rule probe:
    input:
        samples="results/data/{data}/samples.parquet",
        labels=lambda w: FLOW.labels(w),
        embeddings=lambda w: FLOW.caches(w),
    output:
        "results/data/{data}/probes/{encoder}.json",
    log:
        "results/logs/probe/{data}/{encoder}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=FLOW.code("probe"),
    script:
        "../scripts/probe.py"
