"""The files adapter: files dropped into a folder come in, events go out as JSON lines."""

from mfgroute.adapters.files.sink import FilesSink, FilesSinkConfig
from mfgroute.adapters.files.source import FilesSource, FilesSourceConfig

__all__ = ["FilesSink", "FilesSinkConfig", "FilesSource", "FilesSourceConfig"]
