# Predictions → pictures and submissions; scores → paired tests → workbook and page. Nothing here knows a task.


rule compare:
    input:
        scores=lambda w: FLOW.scores(FLOW.compared(w)),
        facts=lambda w: FLOW.score_facts(FLOW.compared(w)),
    output:
        report(
            "results/comparisons/{comparison}.json",
            caption="../report/comparison.rst",
            category="Comparisons",
            labels={"comparison": "{comparison}"},
        ),
    log:
        "results/logs/compare/{comparison}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        comparison=lambda w: FLOW.comparison(w),
        code=FLOW.code("compare"),
    script:
        "../scripts/compare.py"


rule contact_sheet:
    input:
        samples="results/data/{data}/samples.parquet",
        frames=lambda w: FLOW.frame_stores(w),
    output:
        report(
            "results/data/{data}/contact_sheets/{frame_set}.png",
            caption="../report/contact_sheet.rst",
            category="Data",
            labels={"data": "{data}", "frames": "{frame_set}"},
        ),
    log:
        "results/logs/contact_sheet/{data}/{frame_set}.log",
    conda:
        "../../envs/video.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=FLOW.code("contact_sheet"),
    script:
        "../scripts/contact_sheet.py"


for part in run_rules.galleries(FLOW.plan):

    rule:
        name:
            part.name
        input:
            unpack(lambda w: FLOW.gallery_inputs(w)),
        output:
            [
                report(
                    f"results/galleries/{{comparison}}/{split}.png",
                    caption="../report/gallery.rst",
                    category="Comparisons",
                    labels={"comparison": "{comparison}", "split": split},
                )
                for split in part.splits
            ],
        log:
            "results/logs/gallery/{comparison}.log",
        wildcard_constraints:
            comparison=part.names,
        conda:
            "../../envs/torch.yaml"
        resources:
            mem_mb=8000,
            runtime=30,
        params:
            gallery=lambda w: FLOW.gallery(w),
        script:
            "../scripts/gallery.py"


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
        log:
            "results/logs/pictures/{experiment}/seed_{seed}.log",
        wildcard_constraints:
            experiment=part.names,
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


rule summarize:
    input:
        **FLOW.results_of_all(),
    output:
        report("results/summary.xlsx", caption="../report/summary.rst", category="Summary", labels={"file": "workbook"}),
    log:
        "results/logs/summarize.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        titles=FLOW.titles(),
        tracks=FLOW.track_members(),
        config=FLOW.config_text(),
        code=FLOW.code("summarize"),
    script:
        "../scripts/summarize.py"


rule report_page:
    input:
        **FLOW.results_of_all(),
        sheets=FLOW.contact_sheets(),
        galleries=FLOW.galleries(),
    output:
        report("results/report.html", caption="../report/page.rst", category="Summary", labels={"file": "page"}),
    log:
        "results/logs/report_page.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        note=FLOW.note(),
        titles=FLOW.titles(),
        tracks=FLOW.track_members(),
        config=FLOW.config_text(),
        code=FLOW.code("report"),
    script:
        "../scripts/report_page.py"
