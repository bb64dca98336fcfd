"""Says which of the files in its arguments tarfile and libarchive take for something else than a tar that lists `plain`.

Standard output: {"tarfile": [index, ...], "libarchive": [index, ...]}, the latter null where it is not installed.
"""

import ctypes
import ctypes.util
import json
import os
import sys
import tarfile


def is_other_to_tarfile(path):
    try:
        with tarfile.open(path) as members:
            return "plain" not in members.getnames()
    except Exception:  # it reads nothing, and so nothing else
        return False


class Libarchive:
    TAR, FAMILY = 0x30000, 0xFF0000
    UNKNOWN = b"Unrecognized archive format"

    def __init__(self):
        library = ctypes.CDLL(ctypes.util.find_library("archive") or "libarchive.so.13")
        pointer = ctypes.c_void_p
        for name, result, *arguments in [
            ("read_new", pointer),
            ("read_support_format_all", ctypes.c_int, pointer),
            ("read_support_filter_all", ctypes.c_int, pointer),
            ("read_open_filename", ctypes.c_int, pointer, ctypes.c_char_p, ctypes.c_size_t),
            ("read_next_header", ctypes.c_int, pointer, pointer),
            ("read_free", ctypes.c_int, pointer),
            ("format", ctypes.c_int, pointer),
            ("filter_code", ctypes.c_int, pointer, ctypes.c_int),
            ("error_string", ctypes.c_char_p, pointer),
        ]:
            function = getattr(library, "archive_" + name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def is_other(self, path):
        handle, entry = self.read_new(), ctypes.c_void_p()
        self.read_support_format_all(handle)
        self.read_support_filter_all(handle)
        try:
            if self.read_open_filename(handle, os.fsencode(path), 10240) < -20:
                return self.UNKNOWN not in (self.error_string(handle) or b"")
            result = self.read_next_header(handle, ctypes.byref(entry))
            if self.filter_code(handle, 0) != 0:
                return True
            family = self.format(handle) & self.FAMILY
            if family not in (0, self.TAR):
                return True
            # A format that was chosen, and failed before it said its name.
            return family == 0 and result < -20 and self.UNKNOWN not in (self.error_string(handle) or b"")
        finally:
            self.read_free(handle)


def main():
    files = sys.argv[1:]
    try:
        libarchive = Libarchive()
    except (OSError, AttributeError):
        libarchive = None
    others = {"tarfile": [index for index, path in enumerate(files) if is_other_to_tarfile(path)]}
    others["libarchive"] = libarchive and [index for index, path in enumerate(files) if libarchive.is_other(path)]
    print(json.dumps(others))


main()
