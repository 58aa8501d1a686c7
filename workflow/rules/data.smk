# Videos → index → samples → frames. Everything up to the frames is cut into shards; no shard waits for the whole set.


rule generate:
    output:
        directory("results/data/{data}/videos/bucket_{bucket}"),
    log:
        "results/logs/generate/{data}/bucket_{bucket}.log",
    conda:
        "../../envs/video.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        source=lambda w: FLOW.world(w),
        listing=lambda w: FLOW.listing(w),
        digest=lambda w: FLOW.listing_digest(w),
        code=FLOW.code("generate"),
    script:
        "../scripts/generate.py"


rule index:
    input:
        lambda w: FLOW.made_videos(w),
    output:
        "results/data/{data}/index/bucket_{bucket}.parquet",
    log:
        "results/logs/index/{data}/bucket_{bucket}.log",
    conda:
        "../../envs/video.yaml"
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        root=lambda w: FLOW.video_folder(w),
        listing=lambda w: FLOW.listing(w),
        digest=lambda w: FLOW.listing_digest(w),
        timeout=lambda w: FLOW.timeout(w),
        rules=lambda w: FLOW.folder_rules(w),
        code=FLOW.code("index"),
    script:
        "../scripts/index.py"


rule import_masks:
    input:
        "results/data/{data}/index/bucket_{bucket}.parquet",
    output:
        "results/data/{data}/masks/bucket_{bucket}.h5",
    log:
        "results/logs/import_masks/{data}/bucket_{bucket}.log",
    conda:
        "../../envs/video.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        rules=lambda w: FLOW.folder_rules(w),
        code=FLOW.code("import_masks"),
    script:
        "../scripts/import_masks.py"


rule merge_index:
    input:
        lambda w: FLOW.parts(w),
    output:
        index="results/data/{data}/index.parquet",
        rejected="results/data/{data}/rejected.csv",
    log:
        "results/logs/merge_index/{data}.log",
    conda:
        "../../envs/video.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=FLOW.code("merge"),
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
    log:
        "results/logs/split/{data}.log",
    conda:
        "../../envs/video.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        data=lambda w: FLOW.annotation(w),
    script:
        "../scripts/split.py"


rule write_annotations:
    input:
        "results/data/{data}/samples.parquet",
    output:
        directory("results/data/{data}/annotations"),
    log:
        "results/logs/write_annotations/{data}.log",
    conda:
        "../../envs/video.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        files=lambda w: FLOW.annotation_files(w),
        code=FLOW.code("annotations"),
    script:
        "../scripts/write_annotations.py"


rule extract:
    input:
        "results/data/{data}/index/bucket_{bucket}.parquet",
    output:
        directory("results/data/{data}/frames/{frame_set}/bucket_{bucket}"),
    log:
        "results/logs/extract/{data}/{frame_set}/bucket_{bucket}.log",
    conda:
        "../../envs/video.yaml"
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        frame_set=lambda w: FLOW.frame_set(w),
        code=FLOW.code("extract"),
    script:
        "../scripts/extract.py"
