"""What the readers of batch and shell scripts share: texts that remember what is not known in them, and the state of a run
that never happens.
"""
