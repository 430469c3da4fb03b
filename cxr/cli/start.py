"""The console scripts, where Ctrl-C works from the start."""

from cxr.core.process import begin


def batch() -> None:
    """Run `cxr-batch`."""
    begin()
    from cxr.cli.batch import script

    script()


def batch_merge() -> None:
    """Run `cxr-batch-merge`."""
    begin()
    from cxr.cli.tables import merge_app

    merge_app()


def verify() -> None:
    """Run `cxr-verify`."""
    begin()
    from cxr.cli.tables import verify_app

    verify_app()


def data() -> None:
    """Run `cxr-data`."""
    begin()
    from cxr.cli.data import run

    run()


def evaluate() -> None:
    """Run `cxr-eval`."""
    begin()
    from cxr.cli.eval import app

    app()


def folds() -> None:
    """Run `cxr-folds`."""
    begin()
    from cxr.cli.folds import app

    app()


def model() -> None:
    """Run `cxr-model`."""
    begin()
    from cxr.cli.model import run

    run()
