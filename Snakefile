# framecast: raw videos → index → frames → embeddings → train → predict → score → compare → workbook and report.
# What is built stands in config/config.yaml under `run`; overlays: `snakemake --configfile config/<overlay>.yaml`.
# The default config is several files, merged by `framecast.config.loading`.
import shlex
import sys
from pathlib import Path

from snakemake.cli import get_argument_parser
from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.0")

REPOSITORY = Path(workflow.basedir)
sys.path.insert(0, str(REPOSITORY / "src"))
# Snakemake puts the interpreter into shell commands as it is: one below a folder with a blank would not be found.
if not sys.executable.startswith("'"):
    sys.executable = shlex.quote(sys.executable)

from framecast.config import loading
from framecast.workflow import inputs, run_rules

# As one `configfile:` a file would, but parsed faster, with errors that name file and line. So far, `config` holds overlays.
config = inputs.on_default(config, main=workflow.is_main_process)
workflow.configfiles.extend(loading.files())  # Snakemake's report and `--archive` list them

FLOW = inputs.prepare(
    config,
    Path("results"),
    main=workflow.is_main_process,
    overlays=workflow.overwrite_configfiles,
)


wildcard_constraints:
    data=r"[\w-]+",
    frame_set=r"[\w-]+",
    encoder=r"[\w-]+",
    prompts=r"[\w-]+",
    experiment=r"[\w-]+",
    comparison=r"[\w-]+",
    split=r"[\w-]+",
    bucket=r"\d+",
    seed=r"\d+",


report: "workflow/report/workflow.rst"


include: "workflow/rules/data.smk"
include: "workflow/rules/embeddings.smk"
include: "workflow/rules/runs.smk"
include: "workflow/rules/analysis.smk"


rule all:
    default_target: True
    input:
        FLOW.all_caches(),
        FLOW.submissions(),
        FLOW.pictures(),
        FLOW.annotations(),
        "results/summary.xlsx",
        "results/report.html",


for track in FLOW.tracks(workflow.rules):

    rule:
        name:
            track
        input:
            FLOW.track(track),


FLOW.check_targets(get_argument_parser, workflow.rules, main=workflow.is_main_process)


onstart:
    logger.info(FLOW.outlook(workflow, REPOSITORY / "benchmarks" / "demo.json"))
