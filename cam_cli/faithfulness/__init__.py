"""Faithfulness of maps: does the score of a class depend on what its map shows? Asks the network again."""
