"""Reads archives with tarfile and with libarchive, and says what each of them sees.

Standard input: for each archive its length, four bytes, the least first, and the archive. Standard output: a line of
JSON, first with the version of each reader (null where there is none), then for each archive with what each reader
makes of it: {"items": [[name, kind, size, SHA-256, target, major,
minor, mode, user, group, seconds, nanoseconds], ...]} or {"error": "..."}. Bytes of names are
characters of the same number.
"""

import ctypes
import ctypes.util
import hashlib
import io
import json
import math
import signal
import stat
import sys
import tarfile

LARGEST_FILE = 1 << 20


# A header with a negative size sends tarfile back, and round and round.
SECONDS = 5


class TooLarge(Exception):
    pass


class TooSlow(Exception):
    pass


def text(name):
    return name.decode("latin-1")


class Tarfile:
    version = sys.version.split()[0]

    KINDS = {
        tarfile.LNKTYPE: "HardLink",
        tarfile.SYMTYPE: "Symlink",
        tarfile.DIRTYPE: "Directory",
        tarfile.FIFOTYPE: "Fifo",
        tarfile.CHRTYPE: "Character",
        tarfile.BLKTYPE: "Block",
    }

    def read(self, archive):
        with tarfile.open(
            fileobj=io.BytesIO(archive), mode="r:", errorlevel=2, encoding="utf-8", errors="surrogateescape"
        ) as members:
            return [self.item(members, member) for member in members]

    def item(self, members, member):
        encoded = lambda name: text(name.encode("utf-8", "surrogateescape"))
        size, content = 0, ""
        if member.isreg():
            if member.size > LARGEST_FILE:
                raise TooLarge
            data = members.extractfile(member).read()
            size, content = len(data), hashlib.sha256(data).hexdigest()
            if size != member.size:
                raise tarfile.ReadError("unexpected end of data")
        kind = "File" if member.isreg() else self.KINDS.get(member.type, "Other")
        # A record's time is a floating-point number, which does not hold nanoseconds.
        attributes = [member.mode & 0o7777, member.uid, member.gid, math.floor(member.mtime), None]
        device = [member.devmajor, member.devminor]
        return [encoded(member.name), kind, size, content, encoded(member.linkname), *device, *attributes]


class Libarchive:
    """The library that bsdtar is made of."""

    OK, EOF, WARN = 0, 1, -20
    KINDS = {
        stat.S_IFREG: "File",
        stat.S_IFLNK: "Symlink",
        stat.S_IFDIR: "Directory",
        stat.S_IFIFO: "Fifo",
        stat.S_IFCHR: "Character",
        stat.S_IFBLK: "Block",
    }

    def __init__(self):
        self.shared_object = ctypes.CDLL(ctypes.util.find_library("archive") or "libarchive.so.13")
        number, size, pointer, string = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p
        for function, result, *arguments in [
            ("archive_version_string", string),
            ("archive_read_new", pointer),
            ("archive_read_support_format_tar", number, pointer),
            ("archive_read_support_format_empty", number, pointer),
            ("archive_read_support_filter_none", number, pointer),
            ("archive_read_open_memory", number, pointer, string, ctypes.c_size_t),
            ("archive_read_next_header", number, pointer, pointer),
            ("archive_read_data", ctypes.c_ssize_t, pointer, string, ctypes.c_size_t),
            ("archive_read_free", number, pointer),
            ("archive_error_string", string, pointer),
            ("archive_entry_pathname", string, pointer),
            ("archive_entry_symlink", string, pointer),
            ("archive_entry_hardlink", string, pointer),
            ("archive_entry_filetype", ctypes.c_uint, pointer),
            ("archive_entry_size", size, pointer),
            ("archive_entry_perm", ctypes.c_uint, pointer),
            ("archive_entry_uid", size, pointer),
            ("archive_entry_gid", size, pointer),
            ("archive_entry_mtime", size, pointer),
            ("archive_entry_mtime_nsec", ctypes.c_long, pointer),
            ("archive_entry_rdevmajor", ctypes.c_uint64, pointer),
            ("archive_entry_rdevminor", ctypes.c_uint64, pointer),
        ]:
            found = getattr(self.shared_object, function)
            found.restype, found.argtypes = result, arguments
            setattr(self, function.removeprefix("archive_"), found)
        self.version = text(self.version_string()).removeprefix("libarchive ")
        self.buffer = ctypes.create_string_buffer(LARGEST_FILE + 1)

    def read(self, archive):
        handle = self.read_new()
        try:
            self.read_support_format_tar(handle)
            self.read_support_format_empty(handle)
            self.read_support_filter_none(handle)
            self.check(handle, self.read_open_memory(handle, archive, len(archive)))
            items, entry = [], ctypes.c_void_p()
            while True:
                result = self.read_next_header(handle, ctypes.byref(entry))
                if result == self.EOF:
                    return items
                self.check(handle, result)
                items.append(self.item(handle, entry))
        finally:
            self.read_free(handle)

    def check(self, handle, result):
        # A warning says that something is odd, and was read all the same.
        if result < self.WARN:
            raise ValueError(text(self.error_string(handle) or b"?"))
        return result

    def item(self, handle, entry):
        name = self.entry_pathname(entry)
        if name is None:
            raise ValueError("no name")
        symlink, hardlink = self.entry_symlink(entry), self.entry_hardlink(entry)
        kind = "HardLink" if hardlink is not None else self.KINDS.get(self.entry_filetype(entry), "Other")
        size, content = 0, ""
        if kind == "File":
            size, content = self.content(handle)
            if size != self.entry_size(entry):
                raise ValueError(f"{size} bytes, and not {self.entry_size(entry)}")
        major, minor = self.entry_rdevmajor(entry), self.entry_rdevminor(entry)
        attributes = [getattr(self, "entry_" + what)(entry) for what in ("perm", "uid", "gid", "mtime", "mtime_nsec")]
        return [text(name), kind, size, content, text(hardlink or symlink or b""), major, minor, *attributes]

    def content(self, handle):
        size, digest = 0, hashlib.sha256()
        while True:
            got = self.check(handle, self.read_data(handle, self.buffer, len(self.buffer)))
            if got <= 0:
                return size, digest.hexdigest()
            size += got
            if size > LARGEST_FILE:
                raise TooLarge
            digest.update(self.buffer.raw[:got] if got > 1 << 16 else ctypes.string_at(self.buffer, got))


def libarchive():
    try:
        return Libarchive()
    except (OSError, AttributeError):
        return None


def answer(reader, archive):
    try:
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        return {"items": reader.read(archive)}
    except Exception as error:  # whatever it is, the archive was not read
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def too_slow(*_):
    raise TooSlow


def main():
    readers = {"tarfile": Tarfile(), "libarchive": libarchive()}
    signal.signal(signal.SIGALRM, too_slow)
    say = lambda answers: print(json.dumps(answers), flush=True)
    say({name: reader and reader.version for name, reader in readers.items()})
    while length := sys.stdin.buffer.read(4):
        archive = sys.stdin.buffer.read(int.from_bytes(length, "little"))
        say({name: answer(reader, archive) for name, reader in readers.items() if reader})


main()
