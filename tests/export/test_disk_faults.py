"""Local disk that refuses to write: full, read-only, no permission, gone. The old file stays whole, and the next run works.

Permission bits mean nothing to root, and file systems are not full at will, so each case runs in a child: one that has given up the
right to override permissions, or one in a mount namespace of its own where a small file system can be mounted. Where this machine lets
nobody mount, a write that raises what a full disk raises, and a folder without the right to write, stand in for the two.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import pytest
from export.support import export, files_in, make_records, manifest_name

from airflow_provider_capillary.errors import DestinationError, PublishError
from airflow_provider_capillary.export.tempdir import TempDir

HERE = Path(__file__).resolve()
NAME = "x.jsonl"
MANIFEST = manifest_name(NAME)
OLD = {"seed": 1, "count": 40}
NEW = {"seed": 2, "count": 4_000}
SIZE_OF_DISK = 512 * 1024  # NEW takes three times as much


def contents(folder):
    return {name: (folder / name).read_bytes() for name in files_in(folder)}


def refuse_to_write(folder):
    folder.chmod(0o555)


def allow_to_write(folder):
    folder.chmod(0o755)


def make_a_file_of_it(folder):
    folder.rename(folder.with_name("aside"))
    folder.write_bytes(b"")


def make_a_folder_again(folder):
    folder.unlink()
    folder.with_name("aside").rename(folder)


def limit_size(_):
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE_OF_DISK, resource.RLIM_INFINITY))


def lift_limit(_):
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def fill(folder):
    """Leave no room on the file system of the folder."""
    filler = folder.parent / "filler"
    with filler.open("wb", buffering=0) as file:
        for block in (64 * 1024, 4096, 1):
            while True:
                try:
                    file.write(b"0" * block)
                except OSError:
                    break


def make_room(folder):
    (folder.parent / "filler").unlink()


def mount(command, *arguments):
    subprocess.run([shutil.which(command), *arguments], check=True)


def make_read_only(folder):
    mount("mount", "-o", "remount,ro", str(folder.parent))


def make_writable(folder):
    mount("mount", "-o", "remount,rw", str(folder.parent))


def raise_as_if_full(_):
    def full(source, target, *_):
        target.write(source.read(1_000))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shutil.copyfileobj, full.before = full, shutil.copyfileobj
    # Only what is copied to its folder is written there by that function.
    TempDir.file_in, raise_as_if_full.before = (lambda *_: None), TempDir.file_in


def raise_no_longer(_):
    shutil.copyfileobj, TempDir.file_in = shutil.copyfileobj.before, raise_as_if_full.before


FAULTS = {
    # fault: what does it, what undoes it, whether it takes a mount
    "no permission": (refuse_to_write, allow_to_write, False),
    "the folder is a file": (make_a_file_of_it, make_a_folder_again, False),
    "files may not be that large": (limit_size, lift_limit, False),
    "full": (fill, make_room, True),
    "read-only": (make_read_only, make_writable, True),
}
WITHOUT_A_MOUNT = {"full": (raise_as_if_full, raise_no_longer), "read-only": (refuse_to_write, allow_to_write)}
# These faults are found before reading, by a check of the folder. The others are found when the object is written.
BEFORE_READING = {"no permission", "the folder is a file", "read-only"}
# Each row: a fault, and when it begins.
CASES = [
    *((fault, "before reading") for fault in FAULTS if fault in BEFORE_READING),
    *((fault, "while reading") for fault in FAULTS),
]


def play(do, undo, moment, folder):
    """In the child: the run with the fault, what it left, and the run after it."""
    uri = str(folder / NAME)
    export(make_records(OLD["count"], seed=OLD["seed"]), uri)
    before = contents(folder)
    read = []

    def records():
        for record in make_records(NEW["count"], seed=NEW["seed"]):
            read.append(1)
            if len(read) == NEW["count"] // 2 and moment == "while reading":
                do(folder)
            yield record

    if moment == "before reading":
        do(folder)
    expected = DestinationError if moment == "before reading" else PublishError
    with pytest.raises(expected) as caught:
        export(records(), uri, on_vanished="drop")
    undo(folder)
    assert uri in str(caught.value)
    assert re.search("folder|disk|directory", caught.value.hint)
    assert not re.search("bucket|container|connection", caught.value.hint)
    assert bool(read) == (moment == "while reading"), "what can be known before reading was found out after it, or never"
    assert contents(folder) == before
    assert os.listdir(tempfile.gettempdir()) == []  # noqa: PTH208  # only the names
    receipt = export(make_records(60, seed=3), uri, on_vanished="drop")
    assert sorted(contents(folder)) == [MANIFEST, NAME]
    assert json.loads((folder / MANIFEST).read_bytes())["receipt"] == receipt
    assert receipt["late_events"] == 60


def obey_permissions():
    """Give up what lets root write where the permission bits say no; for this process, and for good."""
    if os.geteuid() != 0:
        return
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capget(header, data) == 0
    for part in (0, 1):  # effective, permitted: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        data[part] &= ~0b110
    assert libc.capset(header, data) == 0, os.strerror(ctypes.get_errno())


def in_child(work):
    """Run it in a fork, and raise here what it raised there."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001  # whatever it is, the parent wants to read it
            os.write(writable, traceback.format_exc()[-4_000:].encode())
        finally:
            os._exit(code)
    os.close(writable)
    with os.fdopen(readable) as said:
        text = said.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, text


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """What an export imports, once and not in each child."""
    export(make_records(3), str(tmp_path_factory.mktemp("imported") / NAME))


def play_in_child(do, undo, moment, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()

    def work():
        obey_permissions()
        play(do, undo, moment, folder)

    in_child(work)


@pytest.mark.parametrize(("fault", "moment"), [case for case in CASES if not FAULTS[case[0]][2]])
def test_a_folder_that_refuses(imported, tmp_path, temporary_directory, fault, moment):
    play_in_child(*FAULTS[fault][:2], moment, tmp_path)


NAMESPACE = ["unshare", "--mount", "--map-root-user", "--user"]


def can_mount(folder):
    if shutil.which("unshare") is None:
        return False
    mounting = ["mount", "-t", "tmpfs", "none", str(folder)]
    return subprocess.run([*NAMESPACE, *mounting], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def outcomes_on_a_small_disk(tmp_path_factory):
    """All cases on a mounted file system, one process for all of them; ``None`` where nobody may mount."""
    disk, tmpdir = tmp_path_factory.mktemp("disk"), tmp_path_factory.mktemp("tmpdir")
    if not can_mount(disk):
        return None
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-W", "ignore", str(HERE), str(disk)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TMPDIR": str(tmpdir), "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])},
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("fault", "moment"), [case for case in CASES if FAULTS[case[0]][2]])
@pytest.mark.usefixtures("imported", "temporary_directory")
def test_a_disk_that_refuses(outcomes_on_a_small_disk, tmp_path, fault, moment):
    if outcomes_on_a_small_disk is None:
        play_in_child(*WITHOUT_A_MOUNT[fault], moment, tmp_path)
        return
    assert outcomes_on_a_small_disk[f"{fault}, {moment}"] is None


def main(disk):
    outcomes = {}
    for fault, moment in CASES:
        if FAULTS[fault][2]:
            mount("mount", "-t", "tmpfs", "-o", f"size={SIZE_OF_DISK}", "none", str(disk))
            folder = disk / "out"
            folder.mkdir()
            try:
                play(*FAULTS[fault][:2], moment, folder)
                outcomes[f"{fault}, {moment}"] = None
            except BaseException:  # noqa: BLE001  # told to the test of this case
                outcomes[f"{fault}, {moment}"] = traceback.format_exc()[-4_000:]
            mount("umount", str(disk))
    sys.stdout.write(json.dumps(outcomes) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
