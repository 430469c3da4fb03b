"""Train VGG16: from random weights at 64 pixels as shipped, or a new head on frozen ImageNet weights."""

import typer

from cxr.cli.console import user_errors
from cxr.cli.train_stage import train_stage

main = train_stage("vgg16", __doc__)

if __name__ == "__main__":
    with user_errors():
        typer.run(main)
