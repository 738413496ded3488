"""Models from elsewhere: OpenAI's checkpoints, and their port to the transformers library.

`sources` reads files, `layout` knows the original program's settings and names, `port` turns the
port's into those, `labels` finds artists and genres, and `writing` makes a model folder.
"""
