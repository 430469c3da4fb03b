"""Train cnn3, a plain three-channel network of five blocks, from random weights on planes of 128 pixels."""

import typer

from cxr.cli.console import user_errors
from cxr.cli.train_stage import train_stage

main = train_stage("cnn3", __doc__)

if __name__ == "__main__":
    with user_errors():
        typer.run(main)
