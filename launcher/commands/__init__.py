"""One module per family of commands; each command is one function that names its steps in order.

A command takes the paths and the parsed words and returns an exit code. It starts things; the ui only shows and asks.
"""
