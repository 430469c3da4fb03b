"""Make docs/params.md from the sections' own fields: `python -m tests.params_page > docs/params.md`."""

from cxr.cli.params_help import fields, limits_of
from cxr.dataset.balancing import BalanceParams
from cxr.dataset.preparing import PrepareParams
from cxr.dataset.splitting import SplitParams
from cxr.ensemble import EnsembleParams
from cxr.evaluation.params import EvaluateParams
from cxr.params import CommonParams
from cxr.training.gate_params import GateParams
from cxr.training.held_out import LeaveSourceOutParams
from cxr.training.params import FineTunedParams, SmallParams, TransferParams

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
