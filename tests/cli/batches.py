"""What the tests of `cxr-batch` share."""

import csv
from pathlib import Path

from typer.testing import CliRunner, Result

from cxr.cli.batch import app

HEADER = (
    "path,status,reason,prediction,probability_covid,probability_normal,probability_viral_pneumonia,confidence,margin,"
    "prediction_set,decision,refer_reason,in_training_set,"
    "flags,format,width,height,photometric,bit_depth,brightness,steps,detail,sha256,model"
)


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def column(path: Path, name: str) -> list[str]:
    return [row[name] for row in read(path)]
