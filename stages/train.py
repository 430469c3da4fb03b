"""Train any network of cxr/models, also one that has no script of its own: `python -m stages.train NETWORK`."""

from cxr.cli.train import train_any

if __name__ == "__main__":
    train_any(__doc__)
