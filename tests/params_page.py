"""Make docs/params.md from the sections' own fields: `python -m tests.params_page > docs/params.md`."""

from cxr.cli.train import fields, limits_of
from cxr.core.params import CommonParams
from cxr.dataset.balance import BalanceParams
from cxr.dataset.prepare import PrepareParams
from cxr.dataset.split import SplitParams
from cxr.evaluation.candidates import EvaluateParams
from cxr.inference.ensemble import EnsembleParams
from cxr.training.params import FineTunedParams, GateParams, SmallParams, TransferParams
from cxr.training.refit_plan import LeaveSourceOutParams

SECTIONS = {
    "top level": CommonParams,
    "prepare": PrepareParams,
    "balance": BalanceParams,
    "split": SplitParams,
    "train_cnn1, train_cnn3": SmallParams,
    "train_vgg16, train_resnet50": TransferParams,
    "train_lite0": FineTunedParams,
    "train_gate": GateParams,
    "ensemble": EnsembleParams,
    "leave_source_out": LeaveSourceOutParams,
    "evaluate": EvaluateParams,
}
HEADER = """# params.yaml

What each value means, and what it may be. Made from the code by `python -m tests.params_page`; a test compares. A wrong
value stops the stage that reads it, before anything is computed. A stage depends on its own section and on the
top-level values that it reads.
"""


def render() -> str:
    parts = [HEADER]
    for name, kind in SECTIONS.items():
        rows = "\n".join(f"| `{key}` | {limits_of(field)} | {field.description or ''} |" for key, field in fields(kind))
        parts.append(f"\n## {name}\n\n| key | may be | meaning |\n|---|---|---|\n{rows}\n")
    return "".join(parts)


if __name__ == "__main__":
    print(render(), end="")
