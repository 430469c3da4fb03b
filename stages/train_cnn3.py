"""Train cnn3, a plain three-channel network of five blocks, from random weights on planes of 128 pixels.

Recipe: 40 epochs of batches of 16, AdamW up to 0.002.
Expect, on 2,352 radiographs of the public database: validation log loss 0.089, balanced accuracy on test
0.954 [0.937, 0.970]; 10 to 14 minutes on two shared cores. docs/recipes.md has more.
"""

from cxr.cli.train import train_stage

if __name__ == "__main__":
    train_stage("cnn3", __doc__)
