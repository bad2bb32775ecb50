"""Train a student, score one, or look at a data set.

    python -m training --recipe supervised --data NYU --encoder-weights WEIGHTS --out runs/NAME
    python -m training --recipe auxiliary-kd --teacher-weights FOLDER --unlabelled PICTURES ...
    python -m training --recipe patch-kd --teacher-weights FOLDER --own-teacher BEST ...
    python -m training --recipe self-supervised --sequence VIDEO --hfov-deg 63.5 ...
    torchrun --nproc-per-node 2 -m training --recipe supervised ...
    python -m training eval --checkpoint runs/NAME/best.safetensors --data NYU --split val
    python -m training ablation --plan PLAN --report REPORT
    python -m training centre --checkpoint runs/NAME/best.safetensors --data NYU --out FILE
    python -m training check-data FOLDER

Exit status: 0 good, 1 failed, 2 misused. Progress goes to stderr, results to stdout.
"""

import sys
from collections.abc import Sequence

from fathom.errors import Code, FathomError
from training.ablation import planned, read_run, trained, write_report
from training.assess import assess
from training.centre import centre
from training.data.check import check, some
from training.data.forms import FORMS, open_any, recognise
from training.data.reader import ALL
from training.data.scale import compare_scale
from training.flags import parse
from training.loop import train
from training.parallel import joined
from training.prepare import recipe_of
from training.settings import (
    AblationSettings,
    CentreSettings,
    CheckSettings,
    EvalSettings,
    TrainSettings,
)


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words[:1] == ["eval"]:
            return run_eval(parse(EvalSettings, words[1:]))
        if words[:1] == ["centre"]:
            return run_centre(parse(CentreSettings, words[1:]))
        if words[:1] == ["check-data"]:
            return run_check(parse(CheckSettings, words[1:]))
        if words[:1] == ["ablation"]:
            return run_ablation(parse(AblationSettings, words[1:]))
        run_training(parse(TrainSettings, words).with_preset())
    except FathomError as error:
        print(f"training: {error}", file=sys.stderr)
        return 2 if error.code is Code.BAD_SETTING else 1
    except KeyboardInterrupt:
        print("training: stopped; --resume goes on from the last finished epoch", file=sys.stderr)
        return 1
    return 0


def run_training(settings: TrainSettings) -> None:
    recipe = recipe_of(settings)
    with joined() as world:
        if world.first:
            print(settings.model_dump_json(indent=2), file=sys.stderr)
        best = train(settings, recipe, world)
        if world.first:
            print(best)


def run_eval(settings: EvalSettings) -> int:
    outcome = assess(settings)
    print(outcome.text)
    return int(not outcome.good)


def run_centre(settings: CentreSettings) -> int:
    too_far = centre(settings, open_any(settings.data))
    print(f"answers were {too_far:+.2%} from the truth in the middle; {settings.out} is not")
    return 0


def run_ablation(settings: AblationSettings) -> int:
    made = [] if settings.plan is None else map(trained, planned(settings.plan, settings.out))
    runs = [read_run(folder) for folder in (*settings.folders, *made)]
    if not runs:
        raise FathomError(
            Code.BAD_SETTING,
            expected="folders of runs, or --plan",
            got="neither",
            repair="see python -m training ablation --help",
        )
    print(write_report(settings.report, runs))
    return 0


def run_check(settings: CheckSettings) -> int:
    form = settings.form or recognise(settings.folder)
    print(f"{settings.folder}: {FORMS[form].what} (form {form})")
    reader = open_any(settings.folder, form)
    findings = list(check(reader, settings.part))
    if settings.like is not None:
        other = open_any(settings.like)
        findings.append(compare_scale(some(reader, settings.part), some(other, ALL)))
    for finding in findings:
        print(f"{finding.level:>8}: {finding.text}")
    return int(any(finding.level == "wrong" for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
