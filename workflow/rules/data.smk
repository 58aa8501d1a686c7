# Videos → index → samples → frames. Everything up to the frames is cut into shards; no shard waits for the whole set.


rule generate:
    output:
        directory("results/data/{data}/videos/bucket_{bucket}"),
    params:
        source=lambda w: FLOW.world(w),
        listing=lambda w: FLOW.listing(w),
        digest=lambda w: FLOW.listing_digest(w),
        code=FLOW.code("generate"),
    log:
        "results/logs/generate/{data}/bucket_{bucket}.log",
    resources:
        mem_mb=2000,
        runtime=60,
    conda:
        "../../envs/video.yaml"
    script:
        "../scripts/generate.py"


rule index:
    input:
        lambda w: FLOW.made_videos(w),
    output:
        "results/data/{data}/index/bucket_{bucket}.parquet",
    params:
        root=lambda w: FLOW.video_folder(w),
        listing=lambda w: FLOW.listing(w),
        digest=lambda w: FLOW.listing_digest(w),
        timeout=lambda w: FLOW.timeout(w),
        code=FLOW.code("index"),
    log:
        "results/logs/index/{data}/bucket_{bucket}.log",
    resources:
        mem_mb=2000,
        runtime=240,
    conda:
        "../../envs/video.yaml"
    script:
        "../scripts/index.py"


rule merge_index:
    input:
        lambda w: FLOW.parts(w),
    output:
        index="results/data/{data}/index.parquet",
        rejected="results/data/{data}/rejected.csv",
    params:
        code=FLOW.code("merge"),
    log:
        "results/logs/merge_index/{data}.log",
    resources:
        mem_mb=2000,
        runtime=20,
    conda:
        "../../envs/video.yaml"
    script:
        "../scripts/merge_index.py"


rule split:
    input:
        index="results/data/{data}/index.parquet",
        labels=lambda w: FLOW.labels(w),
        lists=lambda w: FLOW.split_lists(w),
    output:
        samples="results/data/{data}/samples.parquet",
        report="results/data/{data}/splits.json",
    params:
        data=lambda w: FLOW.annotation(w),
    log:
        "results/logs/split/{data}.log",
    resources:
        mem_mb=2000,
        runtime=20,
    conda:
        "../../envs/video.yaml"
    script:
        "../scripts/split.py"


rule extract:
    input:
        "results/data/{data}/index/bucket_{bucket}.parquet",
    output:
        directory("results/data/{data}/frames/{frame_set}/bucket_{bucket}"),
    params:
        frame_set=lambda w: FLOW.frame_set(w),
        code=FLOW.code("extract"),
    log:
        "results/logs/extract/{data}/{frame_set}/bucket_{bucket}.log",
    resources:
        mem_mb=2000,
        runtime=240,
    conda:
        "../../envs/video.yaml"
    script:
        "../scripts/extract.py"
