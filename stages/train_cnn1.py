"""Train cnn1, the small one-channel network that screens folders, from random weights on planes of 128 pixels.

Recipe: 40 epochs of batches of 16, AdamW up to 0.002.
Expect, on 2,352 radiographs of the public database: validation log loss 0.108, balanced accuracy on test
0.950 [0.931, 0.965]; 4 to 6 minutes on two shared cores. docs/recipes.md has more.
"""

from cxr.cli.train import train_stage

if __name__ == "__main__":
    train_stage("cnn1", __doc__)
