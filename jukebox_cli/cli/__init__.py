"""The command line: parse -> call -> print. stdout carries data only; all else goes to stderr."""

from jukebox_cli.cli.app import build_app, main

__all__ = ["build_app", "main"]
