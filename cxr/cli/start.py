"""The console scripts of screening, where Ctrl-C works from the start."""

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
