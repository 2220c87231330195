"""What an attacker in the container does not find: programs with more rights, files that everybody may write, perl."""

from __future__ import annotations

from tests.images.containers import Runner

WRITABLE_FOR_ALL = {
    "/tmp": "POSIX requires it; what runs there uses it; a read-only container mounts its own",
    "/var/tmp": "the same for files that are to survive a restart; Python and others fall back to it",
}
STICKY = "1777"
FIND = "find / -xdev -path /proc -prune -o {} -printf '%m %p\\n'"
CAPABILITIES = """
import os
for folder, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/proc", "/sys", "/dev")]
    for name in files:
        path = os.path.join(folder, name)
        if not os.path.islink(path) and "security.capability" in os.listxattr(path):
            print(path)
"""
PERL_SCRIPTS = """
find /usr/lib/git-core -type f | while read -r file; do
    head --bytes=80 "$file" | head --lines=1 | grep --text --quiet '^#!.*perl' && echo "$file"
done
true
"""


def test_no_program_has_more_rights_than_its_user(run: Runner) -> None:
    """Nothing has the setuid or setgid bit or a file capability, so no exploit of such a program helps anybody."""
    assert run.succeed(["bash", "-c", FIND.format("-perm /6000")], user="0") == ""
    assert run.succeed(["/opt/prefect-uv/bin/python", "-c", CAPABILITIES], user="0") == ""


def test_only_temporary_directories_are_writable_for_all(run: Runner) -> None:
    """No file and no other directory is world-writable; in these, nobody can remove what belongs to others."""
    found = run.succeed(["bash", "-c", FIND.format("-perm -0002 ! -type l ! -type c")], user="0")
    assert set(found.splitlines()) == {f"{STICKY} {path}" for path in WRITABLE_FOR_ALL}


def test_no_perl_beyond_debians_essential_one(run: Runner) -> None:
    """Only apt's maintainer scripts have a perl, dpkg knows that the rest is gone, and apt can install packages."""
    packages = run.succeed(["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev} ${Package}\\n"])
    assert [line.split()[1] for line in packages.splitlines() if "perl" in line] == ["perl-base"]
    assert {line.split()[0] for line in packages.splitlines()} == {"ii"}
    run.succeed(["apt-get", "check"], user="0")


def test_no_command_of_git_needs_perl(run: Runner) -> None:
    """All that this git can do, it does without perl."""
    assert run.succeed(["bash", "-c", PERL_SCRIPTS]) == ""
