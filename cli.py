"""The command line: click definitions only. What a command does lives in `commands/`, one file a command."""

from commands.interrupt import end_silently

if __name__ == "__main__":
    end_silently()

from collections.abc import Callable
from typing import Any

import click

from commands.program import Probability, Program, Workers, finish
from commands.workspace import Workspace
from pdsl import __version__


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(__version__, prog_name="pdsl")
def cli(debug: bool) -> None:
    """Weakly supervised instance segmentation: masks and boxes from image-level labels only (PDSL, ICCV 2021).

    In a folder with a pdsl.yaml (`init` writes one) data, stores and configuration need not be given. Every command
    takes -q (errors and the last lines only) and -v (as for a log, with Dask's own lines).
    """


def option_data(required_for: str) -> Callable[..., Any]:
    return click.option("--data", metavar="SPEC", help=f"{required_for}: voc:DIR, coco:DIR or folder:DIR.")


def _complete_keys(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """For the shell: keys of the configuration that begin with what was typed."""
    from commands.config import complete_key

    return complete_key(incomplete, assignment=param.name == "overrides")


@cli.command()
@click.option("--data", required=True, metavar="SPEC", help="voc:DIR, coco:DIR or folder:DIR.")
@click.option("--train", metavar="SPLIT", help="Training split (default: by the kind of data set).")
@click.option("--val", metavar="SPLIT", help="Evaluation split.")
@click.option(
    "--recipe",
    type=click.Choice(["default", "paper", "official"]),
    default="default",
    show_default=True,
    help="Our stages; or MCG's published boxes, GrabCut in the authors' setting, and the schedule of paper or release.",
)
@click.option("--proposals-from", metavar="DIR|FILE", help="Where the published boxes are.")
def init(**options: Any) -> None:
    """Write a pdsl.yaml, so that the other commands need no options in this folder."""
    from commands import init as command

    finish(command.run(**options))


@cli.command()
@click.argument("data", required=False, metavar="[SPEC]")
@click.option("--split", "splits", multiple=True, help="Only this split; may be repeated.  [default: all]")
@click.option("--proposals-from", metavar="DIR|FILE", help="Published proposals, which must know the images.")
def check(**options: Any) -> None:
    """Whether the images, annotations and proposals of a data set are all there, beside the published numbers."""
    from commands import check as command

    finish(command.run(**Workspace.find().check_options(**options)))


@cli.command()
@click.option("--out", default="demo", show_default=True, type=click.Path(file_okay=False), help="Folder to fill.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Processes for the stages.")
def demo(out: str, workers: int) -> None:
    """The whole job on synthetic scenes, on a CPU, in minutes: stages, training, evaluation, report."""
    from commands import demo as command

    finish(command.run(out=out, workers=workers))


@cli.command()
@click.option("--data", required=True, metavar="DIR", help="Folder in VOC's layout, with lists `train` and `val`.")
@click.option("--weights", metavar="FILE", help="VGG16's ImageNet weights.  [default: torchvision's, once fetched]")
@click.option("--out", metavar="DIR", help="Folder to fill.  [default: photographs, photographs-quick]")
@click.option(
    "--quick", is_flag=True, help="A quarter of an hour: fewer images and updates; fails if nothing is learnt."
)
@click.option("--workers", type=click.IntRange(0), help="Processes for the stages.  [default: all cores]")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def photographs(**options: Any) -> None:
    """The whole job on photographs, on a CPU, in an evening: stages, training, evaluation, report.

    Run again, it does only what is missing. KEY=VALUE as for `train`.
    """
    from commands import photographs as command

    finish(command.run(**options))


@cli.command()
@click.option("--stage", required=True, type=click.Choice(["proposals", "iou-graph", "grabcut", "all"]))
@option_data("Images")
@click.option("--split", help="Split of the data set.")
@click.option("--store", metavar="URL", help="Folder or fsspec URL of the store.")
@click.option(
    "--workers",
    type=Workers(),
    help="Local processes; 0 runs in this one; of a --cluster also MIN:MAX, which come and go.  [default: all cores]",
)
@click.option("--scheduler", metavar="tcp://...", help="Join a running Dask scheduler.")
@click.option("--cluster", metavar="FILE.yaml", help="Start a cluster (SLURM, SSH) as described in a file.")
@click.option("--images", metavar="A:B|FILE", help="Only images A to B-1, widened to whole shards; or those of a list.")
@click.option("--part", metavar="I/N", help="Only part I of N; run the other parts at the same time, anywhere.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="E.g. proposals.method=selective-search.")
@click.option("--proposals-from", metavar="DIR|FILE", help="Published MCG .mat files or a detectron2 pickle.")
@click.option("--overwrite", is_flag=True, help="Recompute what was computed with other parameters.")
@click.option("--retry-failed", is_flag=True, help="Try images again that failed.")
@click.option(
    "--image-timeout",
    type=click.FloatRange(min=0.1, max=1e6),
    metavar="SECONDS",
    help="Give an image up that takes longer: it counts as failed.  [default: never]",
)
@click.option(
    "--summary", metavar="FILE.json", help="Write there what was done: counts, pace, workers, slowest images."
)
@click.option("--dry-run", is_flag=True, help="Only tell images, bytes and hours.")
def precompute(settings: tuple[str, ...], summary: str | None, **options: Any) -> None:
    """Run an offline stage, and the missing ones before it. Re-running does only what is missing."""
    from commands import precompute as command
    from data.parameters import nest, parse_assignment

    space = Workspace.find()
    chosen = nest(parse_assignment(text) for text in settings)
    jobs = space.precompute_jobs(chosen, **options)
    finish(command.run_all(jobs, summary, in_workspace=bool(space.values)))


@cli.command()
@click.option("--store", metavar="URL", help="Folder or fsspec URL of the store.")
@option_data("Where labels and images are now")
@click.option("--split", help="Split of the data set.  [default: the one the store was made from]")
def relabel(store: str | None, data: str | None, split: str | None) -> None:
    """Bring changed labels and classes into the stores; nothing is computed again.

    Images are told apart by id and size: list those replaced by others of the same size for precompute --images FILE.
    """
    from commands import relabel as command

    urls = Workspace.find().stores(store)
    finish(max(command.run(store=url, data=data, split=split) for url in urls))


@cli.command()
@click.option("--store", metavar="URL", help="Folder or fsspec URL of the store.")
@click.option("--json", "as_json", is_flag=True, help="One machine-readable document.")
@click.option("--failed", metavar="FILE.csv", help="Write the failed images there; precompute --images reads it.")
@click.option(
    "--watch",
    is_flag=False,
    flag_value=10.0,
    type=click.FloatRange(min=0.1, max=86400),
    metavar="[SECONDS]",
    help="Again every 10 seconds, or as many as given, while a stage is running.",
)
def status(store: str | None, as_json: bool, failed: str | None, watch: float | None) -> None:
    """What is done, which images failed and why, what is stale; throughput by machine, slowest images, time left."""
    from commands import status as command

    space = Workspace.find()
    learnt_from = None if store else space.learnt_from
    urls = store or space.stores(None)
    finish(command.run(store=urls, json=as_json, failed=failed, watch=watch, learnt_from=learnt_from))


@cli.command()
@click.option("--store", metavar="URL", help="Folder or fsspec URL of the store.")
@click.option("--repair", is_flag=True, help="Recompute what is damaged or missing.")
@option_data("Where the images are now, for --repair")
def verify(store: str | None, repair: bool, data: str | None) -> None:
    """Read every chunk again; name what is damaged or missing."""
    from commands import verify as command

    finish(max(command.run(store=url, repair=repair, data=data) for url in Workspace.find().stores(store)))


@cli.command()
@click.option("--store", metavar="URL", help="Folder or fsspec URL of the store.")
@click.option("--image", metavar="ID", help="Image id as the data set names it, or its file's name.")
@click.option("--random", type=click.IntRange(1, 400), metavar="N", help="A contact sheet of N images.")
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="Picture to write.")
@click.option("--run", metavar="RUN", help="Show what this run's model would learn from the image.")
@option_data("Where the images are now")
def inspect(store: str | None, image: str | None, random: int | None, **options: Any) -> None:
    """Picture of what the stores hold for an image: proposals, a proposal's neighbours, seed masks, mask targets."""
    from commands import inspect as command

    if (image is None) == (random is None):
        raise click.UsageError("name an --image, or how many by --random, one of the two")
    if random and options["run"]:
        raise click.UsageError("--run: for one --image")
    finish(command.run(store=Workspace.find().stores(store), image=image, random=random, **options))


@cli.command(context_settings={"ignore_unknown_options": False})
@click.option("--config", metavar="FILE.yaml", help="Configuration: a file, or a name that ships with pdsl.")
@click.option("--store", "stores", multiple=True, metavar="URL", help="Store with all stages; may be repeated.")
@click.option("--out", metavar="RUN", help="Run folder to create.")
@click.option("--resume", is_flag=True, help="Continue the run in --out from its last checkpoint, exactly.")
@click.option("--init", metavar="RUN", help="Start from the weights of another run.")
@option_data("Where the images are now")
@click.option("--split", help="Learn from this split alone, where the store holds more.")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=_complete_keys)
def train(**options: Any) -> None:
    """Train from the stores. With torchrun: on several GPUs. `pdsl config` lists the keys."""
    from commands import train as command

    finish(command.run(**Workspace.find().train_options(**options)))


@cli.command()
@click.argument("key", required=False, metavar="[KEY]", shell_complete=_complete_keys)
@click.option("--diff", nargs=2, metavar="A B", help="Compare two: shipped names, YAML files or run folders.")
def config(key: str | None, diff: tuple[str, str] | None) -> None:
    """Every key of the configuration with type, default and meaning; KEY explains one; --diff compares two."""
    from commands import config as command

    if key and diff:
        raise click.UsageError("KEY and --diff: give one of the two")
    finish(command.run(key=key, diff=diff))


@cli.command()
@click.option(
    "--fetch",
    type=click.Choice(["vgg16", "resnet18_ws", "resnet50_ws", "resnet101_ws"]),
    metavar="BACKBONE",
    help="Download torchvision's weights for it.",
)
def weights(fetch: str | None) -> None:
    """What ImageNet weights each backbone takes: files, sizes, where they come from, and how to name them."""
    from commands import weights as command

    finish(command.run(fetch=fetch))


@cli.command("eval")
@click.option("--run", metavar="RUN", help="Run folder.")
@option_data("Images with ground truth")
@click.option("--split", help="Split of the data set.")
@click.option("--store", metavar="URL", help="Store with proposals for that split.")
@click.option("--results", metavar="FILE", help="Anyone's results, COCO's JSON or VOC's comp3/4 text (file or folder).")
@click.option("--tta", is_flag=True, help="Test-time augmentation: scales and flips.")
@click.option(
    "--protocol",
    type=click.Choice(["coco", "voc-instance", "voc-detection", "strict"]),
    help="What counts as an object.  [default: voc-instance for VOC, coco for COCO]",
)
@click.option("--out", metavar="DIR", help="Where metrics and report go (default: the run folder).")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="E.g. inference.nms=0.5.")
@click.option("--voc-results", metavar="DIR", help="Write the boxes there as VOC's comp4 files, too.")
def evaluate(**options: Any) -> None:
    """COCO and VOC metrics of a run, or of anyone's results."""
    from commands import evaluate as command

    finish(command.run(**Workspace.find().eval_options(**options)))


@cli.command()
@click.option("--run", metavar="RUN", help="Run folder.")
@click.option("--out", default="predictions", show_default=True, metavar="DIR", help="Where pictures and JSON go.")
@click.option("--proposals", type=click.Choice(["mcg", "selective-search"]), help="Method (default: the training's).")
@option_data("With --split: the data set")
@click.option("--split", help="Instead of images: a whole split, whose detections are written as a results file.")
@click.option("--store", metavar="URL", help="With --split: the store with its proposals.")
@click.option(
    "--score",
    type=Probability(),
    help="Least score that is drawn and written.  [default: drawn from 0.3 on, all written]",
)
@click.option("--top", type=click.IntRange(1), help="Detections of an image at most.  [default: 12 drawn, all written]")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to compute (default: the run's).")
@click.argument("images", nargs=-1, metavar="[IMAGE...]")
def predict(run: str | None, out: str, images: tuple[str, ...], split: str | None, **options: Any) -> None:
    """Detect and segment in images: overlay PNG and COCO JSON; proposals are computed on the fly.

    IMAGE is a file, a URL, a folder, a pattern ("photos/**/*.jpg"), a .txt with one of these a line, or - for such a
    list on standard input. Or, with --split, all images of a split, from its stored proposals: COCO JSON, ground truth
    is not needed.
    """
    space = Workspace.find()
    if bool(images) == bool(split):
        raise click.UsageError("name image files, or a --split, one of the two")
    data_set, how = {name: options.pop(name) for name in ("data", "store")}, options
    if split:
        from commands import predict_split

        if ignored := [f"--{name}" for name, value in how.items() if value is not None]:
            raise click.UsageError(f"{', '.join(ignored)}: for image files, not with --split")
        finish(predict_split.run(**space.predict_options(run=run, out=out, split=split, **data_set)))
        return
    from commands import predict as command

    if ignored := [f"--{name}" for name, value in data_set.items() if value is not None]:
        raise click.UsageError(f"{', '.join(ignored)}: with --split only")
    finish(command.run(run=space.run_folder(run), images=list(images), out=out, **how))


@cli.command()
@click.option("--run", metavar="RUN", help="Run folder.")
@option_data("Images to label")
@click.option("--split", help="Split of the data set.")
@click.option("--store", metavar="URL", help="Store with proposals for that split.")
@click.option("--out", required=True, metavar="FILE.json", help="COCO JSON to write.")
def export(**options: Any) -> None:
    """Pseudo labels as COCO JSON: detections that agree with the image-level labels, to train any detector on."""
    from commands import export as command

    finish(command.run(**Workspace.find().export_options(**options)))


def main() -> None:
    """Entry point of the console script `pdsl`."""
    end_silently()
    cli(prog_name="pdsl")


if __name__ == "__main__":
    main()
