"""Train cnn1, the small one-channel network that screens folders, from random weights on planes of 128 pixels."""

import typer

from cxr.cli.console import user_errors
from cxr.cli.train_stage import train_stage

main = train_stage("cnn1", __doc__)

if __name__ == "__main__":
    with user_errors():
        typer.run(main)
